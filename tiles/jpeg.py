"""JPEG: which segments make the pixels, and how much work its scans are.

A decoder goes over all blocks of a component in every scan, however few bytes the scan has, so work is counted in
blocks visited.

Source: ITU-T T.81, annex B.
"""

import math
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tiles.budget import Budget
from tiles.errors import TooMuchWorkError, UnsupportedModeError, damaged
from tiles.structure import Essence, Size
from tiles.tiff_tags import orientation_of

SIGNATURE = b"\xff\xd8\xff"
END, SCAN, PROGRESSIVE = 0xD9, 0xDA, 0xC2
END_MARKER = bytes((0xFF, END))
FRAMES = frozenset({0xC0, 0xC1, PROGRESSIVE})  # baseline, extended, progressive; all with Huffman codes
TABLES = frozenset({0xC4, 0xDB, 0xDD})  # Huffman and quantization tables, and how often a scan restarts
COLOURS = {0xE0: b"JFIF", 0xEE: b"Adobe"}  # the metadata that say which colours the components are
OTHER_FRAMES = frozenset({0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)})  # arithmetic, lossless, …
APP1, EXIF = 0xE1, b"Exif\0\0"
METADATA = frozenset({0xC8, 0xDC, *range(0xE0, 0xFF)})
MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])", re.DOTALL)  # not one of those that stand inside a scan's data
SEARCHED_AT_ONCE = 2**16  # bytes, between two looks at the budget: `re` lets nothing else run meanwhile
SEGMENTS_A_CHECK = 256
SEGMENTS_BEFORE_SIZE = 1000  # 10 MB of metadata are 160 segments
MAX_SAMPLING = 4  # of a component, in each direction
MAX_COMPONENTS = 4
BITS, CHANNELS = 8, (1, 3, 4)  # that are read
# Upper bounds in seconds; tests/test_crafted_images.py holds them against the slowest files that were found.
VISIT_S = 60e-9  # a block in a scan: a refining scan looks at each of its 64 coefficients
OUTPUT_S = 200e-9  # a block becomes pixels
SCAN_S = 10e-6  # a scan's tables are prepared
BYTE_S = 10e-9  # of coded pixels
TABLE_BYTE_S = 120e-9


class _Segment(NamedTuple):
    """Where a marker stands, its code, and where what belongs to it ends; a scan's pixels follow its segment."""

    code: int
    start: int
    end: int


class _Frame:
    """What a frame header declares: the size, and the number of blocks of 8 x 8 pixels of each component."""

    def __init__(self, data: bytes, segment: _Segment) -> None:
        header = data[segment.start + 4 : segment.end]
        if len(header) < 6 or len(header) < 6 + 3 * header[5]:  # noqa: PLR2004  its fields, and three bytes a component
            raise damaged("its frame header is too short")
        self.size = Size(int.from_bytes(header[1:3], "big"), int.from_bytes(header[3:5], "big"))
        self.progressive = segment.code == PROGRESSIVE
        names, factors = header[6 : 6 + 3 * header[5] : 3], header[7 : 6 + 3 * header[5] : 3]
        sampling = [divmod(factor, 16) for factor in factors]
        if not 0 < len(names) <= MAX_COMPONENTS or not all(
            0 < each <= MAX_SAMPLING for both in sampling for each in both
        ):
            raise damaged("its frame header is wrong")
        if header[0] != BITS or len(names) not in CHANNELS:
            raise UnsupportedModeError(
                f"the JPEG file has {header[0]} bits a channel and {len(names)} channels: save it with {BITS} bits a "
                "channel, in grey or in colour"
            )
        wide, high = (8 * max(both[axis] for both in sampling) for axis in (0, 1))
        units = -(-self.size.height // high) * -(-self.size.width // wide)
        self._blocks = {name: units * across * down for name, (across, down) in zip(names, sampling, strict=True)}
        self.blocks = units * sum(across * down for across, down in sampling)

    def visits(self, scan: bytes) -> int:
        """Return how many blocks a scan visits. scan: its header, without marker and length."""
        return sum(self._blocks.get(name, self.blocks) for name in scan[1 : 1 + 2 * scan[0] : 2]) if scan else 0


def size_of(start: bytes) -> Size | None:
    """Return the size that the first bytes of a file declare; None if its frame header is not among them.

    Raises: UnsupportedModeError, TruncatedImageError, TooMuchWorkError.
    """
    end = len(SIGNATURE)
    for number, segment in enumerate(_segments(start, Budget(math.inf), reach=SEARCHED_AT_ONCE)):
        end = segment.end
        if number == SEGMENTS_BEFORE_SIZE:
            raise TooMuchWorkError(
                f"the file has more than {SEGMENTS_BEFORE_SIZE} segments before its size: save it again as a baseline "
                "JPEG or as a PNG without metadata"
            )
        if segment.code in FRAMES:
            return _Frame(start, segment).size if segment.end <= len(start) else None
        if segment.code not in TABLES:
            _require_metadata(segment.code)
    if end + SEARCHED_AT_ONCE < len(start):
        raise damaged(f"{SEARCHED_AT_ONCE} bytes before its size are no part of a JPEG file")
    return None


def essence(data: bytes, budget: Budget) -> Essence:
    """Return the file without metadata.

    Raises: UnsupportedModeError, TruncatedImageError, TooMuchWorkError.
    """
    pixels = _Pixels(data, budget)
    for number, segment in enumerate(_segments(data, budget), 1):
        if number % SEGMENTS_A_CHECK == 0:
            budget.check(pixels.work_s)
        if segment.code in FRAMES:
            pixels.begin(segment)
        elif segment.code in TABLES or data.startswith(COLOURS.get(segment.code, b"-"), segment.start + 4):
            pixels.keep(segment.start, segment.end, TABLE_BYTE_S)
        elif segment.code == SCAN:
            if pixels.keep_scan(segment) == len(data):
                if data.rfind(END_MARKER, segment.end) < 0:  # a decoder makes pixels of zeros, too
                    raise damaged("its end is missing")
                break
        elif segment.code == END:
            pixels.keep(segment.start, segment.end, 0)
            break
        elif segment.code == APP1 and pixels.exif is None and data.startswith(EXIF, segment.start + 4):
            pixels.exif = data[segment.start + 4 + len(EXIF) : segment.end]
        else:
            _require_metadata(segment.code)
    return pixels.essence()


class _Pixels:
    """The parts of a file that make its pixels, and the work that they are."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        self._data = data
        self._budget = budget
        self._frame: _Frame | None = None
        self._kept = [SIGNATURE[:2]]
        self.work_s = 0.0
        self.exif: bytes | None = None

    def keep(self, start: int, end: int, byte_s: float) -> None:
        """Keep these bytes, each of which takes so many seconds."""
        self._kept.append(self._data[start:end])
        self.work_s += (end - start) * byte_s

    def begin(self, segment: _Segment) -> None:
        """Keep the frame header."""
        if self._frame is not None:
            raise damaged("it has two frame headers")
        self._frame = _Frame(self._data, segment)
        self.work_s += self._frame.blocks * OUTPUT_S
        self.keep(segment.start, segment.end, TABLE_BYTE_S)

    def keep_scan(self, segment: _Segment) -> int:
        """Keep a scan with its pixels; return where they end."""
        if self._frame is None:
            raise damaged("its pixels come before its frame header")
        end = len(self._data)
        visits = self._frame.visits(self._data[segment.start + 4 : segment.end])
        if (
            visits != self._frame.blocks or self._frame.progressive
        ):  # otherwise the only scan: a decoder reads no further
            following = _next_marker(self._data, segment.end, end, self._budget)
            end = following.start() if following else end
        self.work_s += SCAN_S + visits * VISIT_S
        self.keep(segment.start, end, BYTE_S)
        return end

    def essence(self) -> Essence:
        """Return what was kept."""
        if self._frame is None:
            raise damaged("it has no frame header")
        orientation = 1 if self.exif is None else orientation_of(self.exif)
        return Essence(b"".join(self._kept), self._frame.size, self.work_s, orientation)


def _segments(data: bytes, budget: Budget, reach: int = sys.maxsize) -> Iterator[_Segment]:
    """Go from marker to marker; what is none, such as a scan's pixels, is passed over, up to `reach` bytes."""
    at = len(SIGNATURE) - 1
    while (marker := _next_marker(data, at, at + reach, budget)) is not None:
        start, code = marker.start(), marker[1][0]
        at = start + 2 if code == END else start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))
        yield _Segment(code, start, at)


def _next_marker(data: bytes, at: int, end: int, budget: Budget) -> re.Match[bytes] | None:
    """Find the first marker that begins before `end`."""
    end = min(end, len(data))
    while at < end:
        marker = MARKER.search(data, at, at + SEARCHED_AT_ONCE + 1)
        if marker is not None:
            return marker
        budget.check()
        at += SEARCHED_AT_ONCE
    return None


def _require_metadata(code: int) -> None:
    if code in OTHER_FRAMES:
        raise UnsupportedModeError(
            "the JPEG file is compressed in a rare way (arithmetic, lossless or hierarchical): save it as a baseline "
            "or progressive JPEG"
        )
    if code not in METADATA:
        raise damaged(f"it has an unknown marker {code:02x}")
