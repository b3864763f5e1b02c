"""aiohttp's server, which makes limited `connections` and ends those that are too slow, and its runner.

It also answers what the application does not see: HTTP/0.9 and an unknown expectation.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from aiohttp import HttpVersion10, web

from proxy.connection_limits import Connections, Limits
from proxy.connections import Connection, sealed
from proxy.errors import UnknownExpectationError
from proxy.middleware import request_id_of
from proxy.problems import problem_of, problem_of_old_http

SWEEP_S = 1.0
log = structlog.get_logger(__name__)


class LimitedServer(web.Server):
    """Makes limited connections; everything else is as in the server whose place it takes."""

    def __init__(self, plain: web.Server, limits: Limits) -> None:
        self._plain_handler = plain.request_handler
        super().__init__(
            self._handle,
            request_factory=plain.request_factory,
            handler_cancellation=plain.handler_cancellation,
            **plain._kwargs,  # noqa: SLF001  aiohttp gives no other access to what its protocol is made with
        )
        self.limited: Connections[Connection] = Connections(limits)

    def __call__(self) -> Connection:
        """Make the protocol of one connection."""
        return Connection(self, self.limited, loop=self._loop, **self._kwargs)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as the application does; aiohttp judges the header Expect before the application's middleware."""
        if request.version < HttpVersion10:
            return _refused(request, "HTTP/0.9", problem_of_old_http)
        try:
            return await self._plain_handler(request)
        except web.HTTPExpectationFailed:
            error = UnknownExpectationError(
                "the only expectation that is met is 100-continue: leave the header Expect out"
            )
            return _refused(request, "an unknown expectation", partial(problem_of, error))

    async def sweep(self) -> None:
        """End the connections that are too slow, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self._loop.time()
            for connection in self.limited.slow_heads(now):
                connection.head_since = None
                detail = f"the headers were not complete within {self.limited.limits.head_s:g} s: send them faster"
                connection.refuse(408, "Too slow", detail)
            for connection in self.limited.slow_readers(now):
                connection.end("unread_answer")


class LimitedRunner(web.AppRunner):
    """Runs an application on such a server."""

    def __init__(self, app: web.Application, *, limits: Limits, **options: Any) -> None:
        super().__init__(app, **options)
        self._limits = limits
        self._sweep: asyncio.Task[None] | None = None

    async def _make_server(self) -> web.Server:
        server = LimitedServer(await super()._make_server(), self._limits)
        self._sweep = asyncio.create_task(server.sweep())
        return server

    async def cleanup(self) -> None:
        """Stop; slow clients are ended meanwhile, too."""
        try:
            await super().cleanup()
        finally:
            if self._sweep is not None:
                self._sweep.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._sweep


async def invite_later(request: web.Request) -> None:
    """Check the header Expect, and leave the invitation to `upload`: aiohttp's own comes before anything is checked."""
    if request.headers["Expect"].lower() != "100-continue":
        raise web.HTTPExpectationFailed


def _refused(request: web.BaseRequest, reason: str, answer: Callable[[str], web.Response]) -> web.Response:
    """Answer a request that the application does not see. answer: makes the problem, given the request's id."""
    request_id = request_id_of(request)
    log.info("bad_http", id=request_id, address=request.remote, error=reason)
    return sealed(answer(request_id), request_id)
