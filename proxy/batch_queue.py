"""Which tiles go to Triton when: the batcher's policy, without clock, I/O or tasks.

As many batches may be in flight as there are places. While a place is free a tile goes at once, alone. Otherwise tiles
wait; when a place frees, the oldest goes and takes with it the next oldest of its own shape, up to a whole batch. No
tile is ever held back to make a batch larger. Why so: on a busy server batches form by themselves, and on an idle one
any delay would be pure loss.
"""

from typing import Generic, Protocol, TypeVar

from proxy.errors import QueueFullError


class Waiting(Protocol):
    """What the policy needs to know of a tile."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Only canvases of equal shape share a batch."""

    @property
    def deadline(self) -> float:
        """When it is of no use any more, on the caller's clock."""


T = TypeVar("T", bound=Waiting)


class BatchQueue(Generic[T]):
    """The waiting tiles, oldest first, and the number of batches in flight."""

    def __init__(self, *, limit: int, places: int = 1, max_batch_size: int = 1) -> None:
        self.limit = limit
        self.places = places
        self.max_batch_size = max_batch_size
        self.in_flight = 0
        self._waiting: list[T] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, tile: T) -> None:
        """Add a tile as the youngest.

        Raises: QueueFullError.
        """
        if len(self._waiting) >= self.limit:
            raise QueueFullError(f"{self.limit} tiles are waiting already: try again in a moment")
        self._waiting.append(tile)

    def leave(self, tile: T) -> None:
        """Forget a tile if it still waits: nobody waits for its answer any more."""
        self._waiting = [other for other in self._waiting if other is not tile]

    def next_batch(self, now: float) -> list[T]:
        """Take the batch that is to go now; it holds a place until `batch_done`. Empty: nothing is to go.

        A tile whose deadline has passed is dropped: who waits for it has its own timer.
        """
        self._waiting = [tile for tile in self._waiting if tile.deadline > now]
        if self.in_flight >= self.places or not self._waiting:
            return []
        shape = self._waiting[0].shape
        batch = [tile for tile in self._waiting if tile.shape == shape][: self.max_batch_size]
        for tile in batch:
            self.leave(tile)
        self.in_flight += 1
        return batch

    def batch_done(self) -> None:
        """Free a batch's place, however the batch ended."""
        self.in_flight -= 1
