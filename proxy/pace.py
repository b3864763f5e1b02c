"""How fast an upload must come: each byte gives it more time, up to its deadline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from proxy.errors import UploadTooSlowError


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast an upload must come.

    Attributes:
        deadline: when all of it must be there, by the event loop's clock, in seconds.
        grace_s: seconds in which nothing need come.
        byte_rate: bytes a second after that, on average.
    """

    deadline: float
    grace_s: float
    byte_rate: float


class Progress:
    """Gives an upload more time with each byte that has come."""

    def __init__(self, pace: Pace, timer: asyncio.Timeout, started: float) -> None:
        self._pace, self._timer, self._started = pace, timer, started
        self.size = 0  # bytes so far

    def add(self, count: int) -> None:
        """Count bytes."""
        self.size += count
        self._timer.reschedule(
            min(self._pace.deadline, self._started + self._pace.grace_s + self.size / self._pace.byte_rate)
        )


@asynccontextmanager
async def at_pace(pace: Pace) -> AsyncIterator[Progress]:
    """Limit the time in which the block reads an upload.

    Raises: UploadTooSlowError.
    """
    started = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(min(pace.deadline, started + pace.grace_s)) as timer:
            yield Progress(pace, timer, started)
    except TimeoutError:
        raise UploadTooSlowError(
            f"the upload did not finish before the deadline, or came with less than {pace.byte_rate:g} bytes a second: "
            "send it faster, or send a smaller image"
        ) from None
