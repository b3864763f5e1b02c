"""Work in threads beside the event loop, without a queue of its own.

Work that waits for a thread waits inside its own request: it ends at the request's deadline, or when the client leaves.
In an executor's queue it would stay, and so would the upload's bytes, which no limit counts any more by then.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from proxy.errors import DeadlinePassedError

T = TypeVar("T")


class Threads:
    """A fixed number of threads; make them inside a running event loop, and use them in a `with` block."""

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

        A thread that has started finishes its work, also after the deadline, and counts as busy until then.

        Raises: DeadlinePassedError, and what the work raises.
        """
        left = [work]

        def once() -> T:
            return left.pop()()

        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
                try:
                    future = self._executor.submit(once)
                except BaseException:  # no thread could be started, and the executor keeps what it was given
                    left.clear()
                    self._free.release()
                    raise
                future.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._free.release))
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DeadlinePassedError(
                "the image was not decoded, or its mask not encoded, before the deadline: try again when the service "
                "is less busy, or send a smaller image"
            ) from None
