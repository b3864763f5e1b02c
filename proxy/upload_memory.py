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
    def hold(self, address: str, of_request: Sequence["Held"] = ()) -> Iterator["Held"]:
        """Count one upload until the end of the `with` block. of_request: all of its request, more of them later."""
        held = Held(self, address, of_request)
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
                f"{most} together, and all of them with the answers to them {self._limit} (UPLOAD_MEMORY); send fewer "
                "or smaller ones, or ask for mask=rle"
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
    """The bytes of one upload, and later those of the answer to it, which never count as large."""

    def __init__(self, memory: UploadMemory, address: str, of_request: Sequence["Held"] = ()) -> None:
        self._memory = memory
        self._address = address
        self._of_request = of_request
        self.size = 0
        self.large = 0  # what of it counts as a large upload: all or nothing

    def grow(self, count: int) -> None:
        """Count more bytes.

        Raises: QueueFullError, RequestTooLargeError.
        """
        size = self.size + count
        self._become(size, size if size > SMALL_BYTES else 0)

    def become_answer(self, size: int) -> None:
        """Count the bytes of the answer in place of the upload's.

        Raises: QueueFullError, RequestTooLargeError.
        """
        self._become(size, 0)

    def release(self) -> None:
        """Count no byte of it any more."""
        self._count(0, 0)

    def _become(self, size: int, large: int) -> None:
        others = [held for held in self._of_request if held is not self]
        self._memory.require_possible(
            size + sum(held.size for held in others), large + sum(held.large for held in others)
        )
        self._count(size, large)

    def _count(self, size: int, large: int) -> None:
        self._memory.change(self._address, size - self.size, large - self.large)
        self.size, self.large = size, large


def _full() -> QueueFullError:
    return QueueFullError(
        "large uploads and answers take all memory for them already: try again in a moment, or send a smaller image"
    )
