"""The connections themselves: aiohttp's protocol, with limits on what clients may take before and after a handler runs.

aiohttp reads a head before any handler runs, and writes the answer after it has ended. Slow clients are met here, by
the policy of `connection_limits`; `upload` meets those that are slow in between. `limited_server` makes the
connections and ends the slow ones.
"""

import asyncio
import resource
import uuid
from typing import Any

import structlog
from aiohttp import web, web_protocol
from aiohttp.http_exceptions import InvalidURLError, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from proxy.connection_limits import Connections
from proxy.problems import MAX_HEAD_BYTES, problem_of_bad_http, problem_of_bug, raw_problem
from proxy.security_headers import SECURITY_HEADERS

TOO_MANY_HEADERS = "Too many headers"  # how aiohttp says it
OTHER_DESCRIPTORS = 200  # Triton's connections, files, the event loop's own
# Of one connection; aiohttp lets 32 requests wait behind the one that is worked on, and no limit counts their heads.
WAITING_REQUESTS = 2
web_protocol.MAX_MSG_QUEUE_SIZE = WAITING_REQUESTS
log = structlog.get_logger(__name__)


class Connection(RequestHandler):
    """One connection: aiohttp's protocol, which also tells since when it waits for its client."""

    __slots__ = ("_body", "_connections", "_head_bytes", "_since", "_wire", "address", "head_since")

    def __init__(self, server: web.Server, connections: Connections["Connection"], **options: Any) -> None:
        super().__init__(server, **options)
        self._connections = connections
        self._body: Any = None  # the stream of the newest request's body
        self._head_bytes = 0  # of a head that is not complete
        self._since = 0.0  # the last change of whose turn it is
        self._wire: asyncio.Transport | None = None  # aiohttp forgets its transport before everything is written
        self.address = ""
        self.head_since: float | None = None

    @property
    def waiting_since(self) -> float | None:
        """When the connection began to wait for its client; None while its request is worked on."""
        ours = self._request_in_progress and not self.writing_paused and (self._body is None or self._body.is_eof())
        return None if ours else self._since

    @property
    def unread(self) -> int:
        """Bytes written that the client has not taken."""
        return self._wire.get_write_buffer_size() if self._wire is not None else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, another one's if need be, or refuse."""
        self._wire = transport if isinstance(transport, asyncio.Transport) else None
        self.address = (transport.get_extra_info("peername") or ("",))[0]
        self._since = self.head_since = self._loop.time()
        refusal = self._connections.refusal(self.address)
        if refusal is None and self._connections.is_full():
            slowest = self._connections.longest_waiting(self._since)
            if slowest is None:
                refusal = "all connections are in use: try again in a moment"
            else:
                slowest.end("made_room")
        if refusal is None:
            self._connections.add(self)
            super().connection_made(transport)
        else:
            self.head_since = None
            self.refuse(503, "Too many connections", refusal)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._connections.remove(self)
        self._wire = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head until it is complete, and refuse one that came in few pieces and is too long."""
        requests, in_body = self._request_count, self._body is not None and not self._body.is_eof()
        super().data_received(data)
        if self._request_count != requests:
            self._head_bytes, self.head_since = 0, None
            self._since = self._loop.time()
            if self._messages:
                self._body = self._messages[-1][1]
                self._refuse_long_heads()
        elif not in_body and data.strip(b"\r\n"):  # empty lines before a request mean nothing: RFC 9112, 2.2
            self._head_bytes += len(data)
            if self.head_since is None:
                self.head_since = self._loop.time()
            if self._head_bytes > MAX_HEAD_BYTES:
                detail = f"the headers have more than {MAX_HEAD_BYTES} bytes: send fewer or shorter ones"
                self.refuse(431, "Headers too large", detail)

    def _refuse_long_heads(self) -> None:
        """Let go of the heads that are too long; each is refused when its turn comes."""
        for at, (message, body) in enumerate(self._messages):
            if isinstance(message, RawRequestMessage) and _head_bytes(message) > MAX_HEAD_BYTES:
                self._messages[at] = (_ErrInfo(400, LineTooLong(b"", MAX_HEAD_BYTES), "a long head"), body)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer; the client's turn begins with it, and again when it is written."""
        self._since = self._loop.time()
        if not self._messages:
            # aiohttp's parser still counts a request whose body came after its head, and keeps back what it need not
            self.data_received(b"")
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._since = self._loop.time()
            self._refuse_long_heads()  # aiohttp itself queues what came behind an upgrade that was declined

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what never reached a handler, as a problem document and with one line in the log."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        request_id = uuid.uuid4().hex
        if status < web.HTTPInternalServerError.status_code:
            too_long = isinstance(exc, LineTooLong) or TOO_MANY_HEADERS in str(exc)
            log.info("bad_http", id=request_id, address=self.address, error=_what_is_wrong(exc, message))
            response = problem_of_bad_http(request_id, too_long=too_long)
        else:
            log.error("bug", id=request_id, exc_info=exc)
            response = problem_of_bug(request_id)
        response.force_close()
        return sealed(response, request_id)

    def refuse(self, status: int, title: str, detail: str) -> None:
        """Answer without a request, and close; if another answer is on its way, only close."""
        if self._request_in_progress:
            self.end(title)
        elif self._wire is not None and not self._wire.is_closing():
            log.info("refused_connection", status=status, address=self.address)
            self._wire.write(raw_problem(status, title, detail))
            self._wire.close()
        self.close()

    def end(self, reason: str) -> None:
        """Close without an answer, at once, whatever is still to be written."""
        log.info("ended_connection", reason=reason, address=self.address)
        self._connections.remove(self)
        if self._wire is not None:
            self._wire.abort()


def _head_bytes(message: RawRequestMessage) -> int:
    return len(message.path) + sum(len(name) + len(value) + len(": \r\n") for name, value in message.raw_headers)


def _what_is_wrong(error: BaseException | None, message: str | None) -> str:
    """Return what the parser says without what it quotes behind a colon: the client's line may have its API key."""
    return "an invalid URL" if isinstance(error, InvalidURLError) else (message or str(error)).partition(":")[0]


def sealed(response: web.Response, request_id: str) -> web.Response:
    """Add the headers that the middleware would have added."""
    response.headers.update(SECURITY_HEADERS)
    response.headers["X-Request-ID"] = request_id
    return response


def connections_allowed(wanted: int) -> int:
    """Return so many connections, or as many as the process has descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - OTHER_DESCRIPTORS))
