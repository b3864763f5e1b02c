"""A limit on the processor time that one file may take, so that no crafted file keeps a decoder busy for long.

Time is this thread's processor time: a busy machine makes no file more expensive.
"""

import io
import time

from tiles.errors import TooMuchWorkError

READS_A_CHECK = 16  # small reads; asking the clock for each would cost as much as the read


class Budget:
    """Processor time from now on, in seconds; infinite is allowed."""

    def __init__(self, seconds: float) -> None:
        self._end = time.thread_time() + seconds

    def check(self, ahead_s: float = 0) -> None:
        """Refuse to go on when the time is over, or when the work ahead would take longer than what is left.

        Raises: TooMuchWorkError.
        """
        if time.thread_time() + ahead_s > self._end:
            raise TooMuchWorkError(
                "decoding the file takes too long for its size: save it again as a baseline JPEG or as a PNG without "
                "metadata"
            )


class BudgetedFile(io.BytesIO):
    """A file whose reads end when the budget is used up: Pillow reads while it decodes."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        super().__init__(data)
        self._budget = budget
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does.

        Raises: TooMuchWorkError.
        """
        self._reads += 1
        if not self._reads % READS_A_CHECK or size is None or not 0 <= size < io.DEFAULT_BUFFER_SIZE // 2:
            self._budget.check()
        return super().read(size)
