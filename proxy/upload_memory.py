"""How many bytes of uploads, and of a tile's finished answers, may be held at once, by all clients and by one address.

An upload counts by the bytes that have come, not as a place: a client that sends a byte a second takes next to nothing
from the others. Small uploads have a share that large ones cannot take.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from proxy.errors import QueueFullError, RequestTooLargeError

SMALL_BYTES = 2**17  # a published tile has 10 to 60 kB
LARGE_SHARE = 0.75  # of the limit, for all large uploads
ADDRESS_SHARE = 0.5  # of the limit, for the large uploads of one address


class UploadMemory:
    """Counts the bytes of the uploads that are being read and decoded."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._all = 0
        self._large = 0
        self._large_of: Counter[str] = Counter()

    @contextmanager
    def hold(self, address: str, before: Sequence["Held"] = ()) -> Iterator["Held"]:
        """Count one upload until the end of the `with` block. before: those of the same request."""
        held = Held(self, address, before)
        try:
            yield held
        finally:
            held.release()

    def require_possible(self, size: int, large: int) -> None:
        """Refuse a request that could not even be held if there were no others. large: bytes of its large images.

        Raises: RequestTooLargeError.
        """
        most = int(ADDRESS_SHARE * self._limit)
        if large > most or size > self._limit:
            raise RequestTooLargeError(
                f"the request has too many bytes for this service: images of more than {SMALL_BYTES} bytes may have "
                f"{most} together, and all of them {self._limit} (UPLOAD_MEMORY); send fewer or smaller ones"
            )

    def change(self, address: str, size: int, large: int) -> None:
        """Add to the counts.

        Raises: QueueFullError if a count that grows passes its limit.
        """
        if size > 0 and self._all + size > self._limit:
            raise _full()
        over = self._large + large > LARGE_SHARE * self._limit
        if large > 0 and (over or self._large_of[address] + large > ADDRESS_SHARE * self._limit):
            raise _full()
        self._all += size
        self._large += large
        self._large_of[address] += large
        if not self._large_of[address]:
            del self._large_of[address]


class Held:
    """The bytes of one upload."""

    def __init__(self, memory: UploadMemory, address: str, before: Sequence["Held"] = ()) -> None:
        self._memory = memory
        self._address = address
        self._before = tuple(before)
        self.size = 0

    def grow(self, count: int) -> None:
        """Count more bytes.

        Raises: QueueFullError, RequestTooLargeError.
        """
        size = self.size + count
        sizes = [size, *(held.size for held in self._before)]
        self._memory.require_possible(sum(sizes), sum(each for each in sizes if each > SMALL_BYTES))
        large = 0 if size <= SMALL_BYTES else count if self.size > SMALL_BYTES else size
        self._memory.change(self._address, count, large)
        self.size = size

    def release(self) -> None:
        """Count no byte of it any more."""
        self._memory.change(self._address, -self.size, 0 if self.size <= SMALL_BYTES else -self.size)
        self.size = 0


def _full() -> QueueFullError:
    return QueueFullError(
        "large uploads and answers take all memory for them already: try again in a moment, or send a smaller image"
    )
