"""Which tiles go to Triton when: the batcher's policy, without clock, I/O or tasks.

As many batches may be in flight as there are places. While a place is free a tile goes at once, alone. Otherwise tiles
wait; when a place frees, the oldest goes and takes with it the next oldest of its own shape, up to a whole batch. No
tile is ever held back to make a batch larger. Why so: on a busy server batches form by themselves, and on an idle one
any delay would be pure loss.

Batches and the waiting tiles are both bounded twice, by number and by pixels: the memory that large tiles take must not
be a multiple of what small ones do.
"""

import math
from itertools import islice
from typing import Generic, Protocol, TypeVar

from proxy.errors import QueueFullError

WAITING_BATCHES = 8  # of the most pixels that may wait: eight of the largest tiles, or a whole queue of usual ones


class Waiting(Protocol):
    """What the policy needs to know of a tile."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Only canvases of equal shape share a batch; the product is the canvas's number of pixels."""

    @property
    def deadline(self) -> float:
        """When it is of no use any more, on the caller's clock."""


T = TypeVar("T", bound=Waiting)


class BatchQueue(Generic[T]):
    """The waiting tiles, oldest first, and the number of batches in flight.

    Attributes:
        limit: tiles that may wait.
        max_batch_size: tiles that a batch may have.
        max_batch_pixels: pixels that a batch may have; a tile with more goes alone. WAITING_BATCHES times as many may
            wait, and an empty queue takes any tile.
        places: batches that may be in flight.
        in_flight: batches that are.
        pixels: of the tiles that wait.
    """

    def __init__(self, *, limit: int, max_batch_pixels: int, places: int = 1, max_batch_size: int = 1) -> None:
        self.limit = limit
        self.max_batch_pixels = max_batch_pixels
        self.places = places
        self.max_batch_size = max_batch_size
        self.in_flight = 0
        self.pixels = 0
        self._waiting: dict[T, None] = {}  # a set that keeps its order

    def __len__(self) -> int:
        return len(self._waiting)

    def refuse_if_full(self) -> None:
        """Turn a tile away before anybody reads and decodes it.

        Raises: QueueFullError.
        """
        if len(self) >= self.limit:
            raise QueueFullError(f"{self.limit} tiles are waiting already: try again in a moment")

    def join(self, tile: T) -> None:
        """Add a tile as the youngest.

        Raises: QueueFullError.
        """
        self.refuse_if_full()
        pixels = math.prod(tile.shape)
        if self._waiting and self.pixels + pixels > WAITING_BATCHES * self.max_batch_pixels:
            raise QueueFullError(
                f"tiles of {self.pixels} pixels are waiting already, this one has {pixels}: "
                "try again in a moment, or send a smaller one"
            )
        self._waiting[tile] = None
        self.pixels += pixels

    def leave(self, tile: T) -> bool:
        """Forget a tile, whose answer nobody waits for any more; return whether it still waited."""
        if tile not in self._waiting:
            return False
        del self._waiting[tile]
        self.pixels -= math.prod(tile.shape)
        return True

    def next_batch(self, now: float) -> list[T]:
        """Take the batch that is to go now; it holds a place until `batch_done`. Empty: nothing is to go.

        A tile whose deadline has passed is dropped: who waits for it has its own timer.
        """
        self._take([tile for tile in self._waiting if tile.deadline <= now])
        if self.in_flight >= self.places or not self._waiting:
            return []
        self.in_flight += 1
        shape = next(iter(self._waiting)).shape
        size = min(self.max_batch_size, max(1, self.max_batch_pixels // math.prod(shape)))
        return self._take(list(islice((tile for tile in self._waiting if tile.shape == shape), size)))

    def batch_done(self) -> None:
        """Free a batch's place, however the batch ended."""
        self.in_flight -= 1

    def _take(self, tiles: list[T]) -> list[T]:
        for tile in tiles:
            self.leave(tile)
        return tiles
