"""Work beside the event loop, of which nothing waits in a queue.

What waits for a thread waits in its own request, until its deadline, and goes when its client leaves. In an executor's
queue it would stay, and with it the upload's bytes, which no limit counts any more.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from proxy.errors import DeadlinePassedError

T = TypeVar("T")


class Threads:
    """So many threads; make them inside a running event loop, and use them in a `with` block."""

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="pixels")
        self._free = asyncio.Semaphore(count)
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()

    async def run(self, work: Callable[[], T], *, deadline: float) -> T:
        """Return what the work returns. deadline: by the event loop's clock, in seconds.

        A thread that has begun goes on after the deadline, and is not free before its work is done.

        Raises: DeadlinePassedError, and what the work raises.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
                future = self._executor.submit(work)
                future.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._free.release))
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DeadlinePassedError(
                "the image was not decoded or its mask encoded by the deadline: try again when it is quieter, or send "
                "a smaller one"
            ) from None
