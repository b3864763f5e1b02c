"""Which images go to Triton when: the batcher's policy, without clock, I/O or tasks.

A limited number of batches may be in flight. While there are fewer, an image goes at once, alone. Otherwise images
wait. When a batch ends, the oldest image goes next, together with the next oldest of the same shape, up to a whole
batch. No image is held back to make a batch larger: on a busy server batches form by themselves, and on an idle one a
delay would only cost time.

Both the batches and the queue have two limits, a number of images and a number of pixels. Otherwise large images could
take many times the memory of small ones, and on CPUs a batch too large for their caches would take longer than two
smaller ones.
"""

import math
from itertools import islice
from typing import Generic, Protocol, TypeVar

from proxy.errors import QueueFullError


class Waiting(Protocol):
    """What the policy needs to know about an image."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Only canvases of equal shape share a batch. The product is the canvas's number of pixels."""

    @property
    def deadline(self) -> float:
        """When nobody wants the answer any more, on the caller's clock."""


T = TypeVar("T", bound=Waiting)


class BatchQueue(Generic[T]):
    """The waiting images, oldest first, and the number of batches in flight.

    Attributes:
        limit: images that may wait.
        limit_pixels: pixels that the waiting images may have. An empty queue takes an image of any size.
        max_batch_size: images that a batch may have.
        max_batch_pixels: pixels that a batch may have. A larger image goes alone.
        max_in_flight: batches that may be in flight.
        in_flight: batches that are in flight.
        pixels: sum over the waiting images' canvases.
    """

    def __init__(
        self,
        *,
        limit: int,
        limit_pixels: int,
        max_in_flight: int = 1,
        max_batch_size: int = 1,
        max_batch_pixels: int = 1,
    ) -> None:
        self.limit = limit
        self.limit_pixels = limit_pixels
        self.max_in_flight = max_in_flight
        self.max_batch_size = max_batch_size
        self.max_batch_pixels = max_batch_pixels
        self.in_flight = 0
        self.pixels = 0
        self._waiting: dict[T, None] = {}  # a set that keeps its order

    def __len__(self) -> int:
        return len(self._waiting)

    def refuse_if_full(self) -> None:
        """Refuse an image before it is read and decoded.

        Raises: QueueFullError.
        """
        if len(self) >= self.limit:
            raise QueueFullError(f"{self.limit} images are waiting already: try again in a moment")

    def join(self, image: T) -> None:
        """Add an image as the youngest.

        Raises: QueueFullError.
        """
        self.refuse_if_full()
        pixels = math.prod(image.shape)
        if self._waiting and self.pixels + pixels > self.limit_pixels:
            raise QueueFullError(
                f"images of {self.pixels} pixels are waiting already, and this one has {pixels}: "
                "try again in a moment, or send a smaller one"
            )
        self._waiting[image] = None
        self.pixels += pixels

    def leave(self, image: T) -> bool:
        """Remove an image whose answer nobody wants any more; return whether it was still waiting."""
        if image not in self._waiting:
            return False
        del self._waiting[image]
        self.pixels -= math.prod(image.shape)
        return True

    def next_batch(self, now: float) -> list[T]:
        """Take the batch that goes now; it counts as in flight until `batch_done`. An empty list: none goes.

        An image whose deadline has passed is dropped: its caller has a timer of its own.
        """
        self._take([image for image in self._waiting if image.deadline <= now])
        if self.in_flight >= self.max_in_flight or not self._waiting:
            return []
        self.in_flight += 1
        shape = next(iter(self._waiting)).shape  # of the oldest
        size = min(self.max_batch_size, max(1, self.max_batch_pixels // math.prod(shape)))
        return self._take(list(islice((image for image in self._waiting if image.shape == shape), size)))

    def batch_done(self) -> None:
        """Count a batch as ended, whether it was answered or failed."""
        self.in_flight -= 1

    def _take(self, images: list[T]) -> list[T]:
        for image in images:
            self.leave(image)
        return images
