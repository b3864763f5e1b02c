"""One log line a second when the process can open no more connections, in place of a traceback for each attempt."""

import asyncio
import errno
from typing import Any

import structlog

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
QUIET_S = 1.0
log = structlog.get_logger(__name__)


class ExhaustionLog:
    """An exception handler for an event loop; all but exhaustion goes to the loop's own."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._unlogged = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what asyncio tells, at most once a second."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in EXHAUSTED:
            loop.default_exception_handler(context)
        elif loop.time() < self._next_s:
            self._unlogged += 1
        else:
            log.error("no_more_connections", reason=f"{error.strerror}: raise `ulimit -n`", unlogged=self._unlogged)
            self._next_s, self._unlogged = loop.time() + QUIET_S, 0
