"""The end of the service: nothing that was sent is lost, and the process ends in time.

A client that keeps its connection open learns by `Connection: close` on its next answer that it must open another, at
another proxy. So connections stay open for a moment after the stop signal, even if they are idle.
"""

import asyncio
import contextlib
import os
import threading
from typing import Any

import structlog
from aiohttp import web

IDLE_S = 3.0  # that an idle connection gets for a last request: clients in a loop send one within that time
POLL_S = 0.02
log = structlog.get_logger(__name__)


def drain_s(grace_s: float) -> float:
    """Return how much of the grace period idle connections get."""
    return min(IDLE_S, grace_s / 4)


async def drain(runner: web.AppRunner, grace_s: float) -> None:
    """Stop listening, and wait until all connections are closed, or for as long as idle ones get."""
    await _stop_listening(runner)
    deadline_s = asyncio.get_running_loop().time() + drain_s(grace_s)
    while runner.server and runner.server.connections and asyncio.get_running_loop().time() < deadline_s:  # noqa: ASYNC110  aiohttp tells no event
        await asyncio.sleep(POLL_S)


async def _stop_listening(runner: web.AppRunner) -> None:
    """Close the listening sockets, and serve what connected to them before: asyncio alone would reset it."""
    loop = asyncio.get_running_loop()
    protocol: Any = runner.server
    servers: list[Any] = [site._server for site in runner.sites]  # noqa: SLF001  aiohttp shows only their addresses
    sockets = [each for server in servers for each in server.sockets]
    for each in sockets:
        loop.remove_reader(each)
    await asyncio.sleep(POLL_S)  # what asyncio has accepted gets its protocol; the kernel keeps what comes now
    backlogs = []
    with contextlib.suppress(OSError):  # no descriptor is left: then nothing can be accepted either
        backlogs = [each.dup() for each in sockets]
    for site in list(runner.sites):
        await site.stop()
    connections = []
    for backlog in backlogs:
        with backlog, contextlib.suppress(OSError):  # BlockingIOError: nobody waits any more
            while True:
                connections.append(backlog.accept()[0])
    for connection in connections:
        connection.setblocking(False)
        await loop.connect_accepted_socket(protocol, connection)


def end_in_time(grace_s: float) -> None:
    """End the process when the grace period is over, even if a thread is still at work and cannot be told to stop."""

    def end() -> None:
        log.warning("given_up", grace_s=grace_s)
        os._exit(0)

    timer = threading.Timer(grace_s + 0.5, end)  # asyncio's own end takes a moment, too
    timer.daemon = True
    timer.start()
