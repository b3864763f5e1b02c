"""The end of the service: nothing that was sent is lost, and the process ends in time.

A client that keeps its connection open learns by `Connection: close` on its next answer that it must open another, at
another proxy. So connections stay open for a moment after the stop signal, even if they are idle.
"""

import asyncio
import os
import threading

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
    await asyncio.sleep(0)  # a round in which connections that wait in the backlog are accepted
    for site in list(runner.sites):
        await site.stop()
    deadline_s = asyncio.get_running_loop().time() + drain_s(grace_s)
    while runner.server and runner.server.connections and asyncio.get_running_loop().time() < deadline_s:  # noqa: ASYNC110  aiohttp tells no event
        await asyncio.sleep(POLL_S)


def end_in_time(grace_s: float) -> None:
    """End the process when the grace period is over, even if a thread is still at work and cannot be told to stop."""

    def end() -> None:
        log.warning("given_up", grace_s=grace_s)
        os._exit(0)

    timer = threading.Timer(grace_s + 0.5, end)  # asyncio's own end takes a moment, too
    timer.daemon = True
    timer.start()
