"""Which images are taken on, before they are decoded: those that can be answered soon. The others are refused at once.

An image is admitted while the work ahead of it takes `max_wait_s` at most, by the pixels a second that were answered
lately. So the queue is never longer than clients wait, and no work is spent on answers that nobody reads any more. The
order stays first in, first out: a queue this short has no old image that a newer one should overtake.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from proxy.errors import QueueFullError

MEMORY_S = 5.0  # busy time after which a measurement counts a third
LEARNING_IMAGES = 8  # answered before the rate is believed


class Admission:
    """Counts the images that are decoded, wait or are at Triton. clock: seconds."""

    def __init__(self, *, max_wait_s: float, clock: Callable[[], float]) -> None:
        self.always = 1  # images that are admitted in any case: as many as keep one Triton busy
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._images = 0
        self._pixels = 0
        self._answered = 0
        self._measured_pixels = 0.0
        self._measured_s = 0.0
        self._measured_at = 0.0

    def refuse_if_busy(self) -> None:
        """Refuse an image if those that are being worked on take too long already.

        Raises: QueueFullError.
        """
        if self._images < self.always or self._answered < LEARNING_IMAGES:
            return
        wait_s = self._pixels * self._measured_s / self._measured_pixels
        if wait_s > self._max_wait_s:
            raise QueueFullError(
                f"the images that were sent before take {wait_s:.1f} s, more than {self._max_wait_s:g} s: try again in "
                "a moment"
            )

    @contextmanager
    def admit(self, pixels: int, *, in_any_case: bool = False) -> Iterator[None]:
        """Count an image until the end of the `with` block; if the block ends well it was answered.

        in_any_case: it belongs to a tile that is being answered already.

        Raises: QueueFullError.
        """
        if not in_any_case:
            self.refuse_if_busy()
        if not self._images:
            self._measured_at = self._clock()  # idle time measures nothing
        self._images += 1
        self._pixels += pixels
        try:
            yield
            self._measure(pixels)
        finally:
            self._images -= 1
            self._pixels -= pixels

    def _measure(self, pixels: int) -> None:
        now = self._clock()
        elapsed_s = now - self._measured_at
        kept = math.exp(-elapsed_s / MEMORY_S)
        self._measured_s = self._measured_s * kept + elapsed_s
        self._measured_pixels = self._measured_pixels * kept + pixels
        self._measured_at = now
        self._answered += 1
