"""TIFF as cameras write it: one page of strips, grey or RGB, 8 or 16 bits, plain, LZW or Deflate.

Only the tags that make the pixels are read. A strip is inflated while the budget is watched; Pillow sees nothing but
the compressed bytes of LZW strips, each as a small file of our own.

Source: TIFF revision 6.0, sections 2, 3, 6, 13 and 14; Adobe Photoshop TIFF Technical Notes (Deflate).
"""

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tiles.budget import Budget
from tiles.errors import TruncatedImageError, UnsupportedModeError
from tiles.structure import Essence, Size

SIGNATURES = (b"II*\0", b"MM\0*")
MAX_TAGS = 256
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSETS, ORIENTATION, SAMPLES, ROWS, COUNTS, PLANES, PREDICTOR = (
    256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317,
)  # fmt: skip
SAMPLE_FORMAT = 339
# How many values of a tag are read; of any other tag none are
MOST = {OFFSETS: 2**16, COUNTS: 2**16} | dict.fromkeys(
    (WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES, ROWS, PLANES, PREDICTOR, SAMPLE_FORMAT), 8
)
KINDS = {1: "B", 3: "H", 4: "I"}  # of a tag's values: bytes, 16 bits, 32 bits
PLAIN, LZW, DEFLATES = 1, 5, (8, 32946)
INVERTED, GREY, RGB = 0, 1, 2  # photometric interpretations
DIFFERENCES = 2  # the predictor that stores each pixel's difference from the one on its left
INFLATED_AT_ONCE = 8192
# Upper bounds in seconds; tests/test_crafted_images.py holds them against the slowest files that were found.
BYTE_S = 12e-9  # of inflated pixels: copy, add up, convert to grey
STRIP_S = 20e-6
LZW_STRIP_S = 400e-6  # Pillow opens it as a file
LZW_BYTE_S = 400e-9  # of compressed pixels: each second code may clear the table
CONVERT = (
    "save it as an 8-bit or 16-bit grey or RGB TIFF in strips, or convert it: magick photo.tif -depth 8 photo.png"
)


@dataclass(frozen=True)
class _Page:
    """What the tags say. `strips` are (offset, size) in the file."""

    size: Size
    order: str
    bits: int
    samples: int
    photometric: int
    compression: int
    predictor: int
    rows: int
    strips: tuple[tuple[int, int], ...]
    orientation: int

    @property
    def row_bytes(self) -> int:
        return self.size.width * self.samples * self.bits // 8

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Give each strip's offset, size, and how many rows it has."""
        for number, (offset, size) in enumerate(self.strips):
            yield offset, size, min(self.rows, self.size.height - number * self.rows)


def size_of(start: bytes) -> Size | None:
    """Return the size that the first bytes of a file declare; None if they end before its tags."""
    tags = _tags(start)
    return None if tags is None else Size(_one(tags, HEIGHT), _one(tags, WIDTH))


def orientation_of(exif: bytes) -> int:
    """Return the orientation in EXIF data, which have the form of a TIFF file; 1 if they say none."""
    try:
        return _one(_tags(exif) or {}, ORIENTATION, 1)
    except (UnsupportedModeError, TruncatedImageError):
        return 1


def essence(data: bytes, budget: Budget) -> Essence:
    """Return the file, once its tags were checked.

    Raises: TruncatedImageError, UnsupportedModeError, TooMuchWorkError.
    """
    page = _page(data)
    budget.check()
    strip_s = LZW_STRIP_S if page.compression == LZW else STRIP_S
    work_s = page.size.height * page.row_bytes * BYTE_S + len(page.strips) * strip_s
    return Essence(data, page.size, work_s, page.orientation)


def decode(data: bytes, budget: Budget) -> np.ndarray:
    """Return the pixels. Shapes: (H, W) or (H, W, 3), uint8 or uint16.

    Raises: TruncatedImageError, TooMuchWorkError.
    """
    page = _page(data)
    inflate = _codec(page.compression)
    height, width = page.size
    dtype = np.dtype(f"{page.order}u{page.bits // 8}")
    pixels = np.empty((height, width, page.samples), dtype.newbyteorder("="))
    top = 0
    for offset, size, rows in page.parts():
        budget.check()
        wanted = rows * page.row_bytes
        found = inflate(data[offset : offset + size], wanted, budget)
        if len(found) < wanted:
            raise _damaged(f"a strip has {len(found)} of {wanted} bytes")
        strip = np.frombuffer(found, dtype, count=wanted // dtype.itemsize).reshape(rows, width, page.samples)
        if page.predictor == DIFFERENCES:
            np.cumsum(strip, axis=1, dtype=pixels.dtype, out=pixels[top : top + rows])
        else:
            pixels[top : top + rows] = strip
        top += rows
    grey = pixels[:, :, 0] if page.photometric != RGB else pixels[:, :, :3]
    return ~grey if page.photometric == INVERTED else grey


def _codec(compression: int) -> Callable[[bytes, int, Budget], bytes]:
    if compression == PLAIN:
        return lambda strip, _wanted, _budget: strip
    return _inflate_lzw if compression == LZW else _inflate


def _inflate(strip: bytes, wanted: int, budget: Budget) -> bytes:
    """Inflate so many bytes, some at a time."""
    inflater, found, at = zlib.decompressobj(), bytearray(), 0
    try:
        while len(found) < wanted and not inflater.eof and (at < len(strip) or inflater.unconsumed_tail):
            budget.check()
            piece = inflater.unconsumed_tail or strip[at : at + INFLATED_AT_ONCE]
            at += 0 if inflater.unconsumed_tail else len(piece)
            found += inflater.decompress(piece, min(wanted - len(found), 2**16))
    except zlib.error as error:
        raise _damaged(str(error)) from None
    return bytes(found)


def _inflate_lzw(strip: bytes, wanted: int, budget: Budget) -> bytes:
    """Have Pillow expand a strip: it gets a file of one row whose pixels are the strip's bytes."""
    budget.check(len(strip) * LZW_BYTE_S)
    tags = {WIDTH: wanted, HEIGHT: 1, BITS: 8, COMPRESSION: LZW, PHOTOMETRIC: GREY, OFFSETS: 0, SAMPLES: 1, ROWS: 1,
            COUNTS: len(strip)}  # fmt: skip
    tags[OFFSETS] = 8 + 2 + 12 * len(tags) + 4
    written = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    file = struct.pack("<4sIH", SIGNATURES[0], 8, len(tags)) + written + bytes(4) + strip
    try:
        with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
            return image.tobytes()
    except (OSError, ValueError) as error:
        raise _damaged(str(error)) from None


def _page(data: bytes) -> _Page:
    """Read and check the first page's tags."""
    tags = _tags(data)
    if tags is None:
        raise _damaged("its tags are missing")
    size = Size(_one(tags, HEIGHT), _one(tags, WIDTH))
    bits = set(tags.get(BITS, (1,)))
    page = _Page(
        size=size,
        order="<" if data.startswith(b"II") else ">",
        bits=bits.pop() if len(bits) == 1 else 0,
        samples=_one(tags, SAMPLES, 1),
        photometric=_one(tags, PHOTOMETRIC, -1),
        compression=_one(tags, COMPRESSION, PLAIN),
        predictor=_one(tags, PREDICTOR, 1),
        rows=min(_one(tags, ROWS, size.height), size.height),
        strips=tuple(zip(tags.get(OFFSETS, ()), tags.get(COUNTS, ()), strict=False)),
        orientation=_one(tags, ORIENTATION, 1),
    )
    _require_readable(page, tags)
    if not (0 < page.rows and size.width and len(page.strips) == math.ceil(size.height / page.rows)):
        raise _damaged("its strips do not make the image")
    return page


def _require_readable(page: _Page, tags: Mapping[int, tuple[int, ...]]) -> None:
    if not tags.get(OFFSETS):
        raise UnsupportedModeError(f"the TIFF file has no strips, but perhaps tiles: {CONVERT}")
    if page.bits not in (8, 16) or set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
        raise UnsupportedModeError(f"the TIFF file has pixels of {page.bits} bits, or no whole numbers: {CONVERT}")
    channels = {INVERTED: (1, 2), GREY: (1, 2), RGB: (3, 4)}.get(page.photometric, ())
    if page.samples not in channels or (page.samples > 1 and _one(tags, PLANES, 1) != 1):
        raise UnsupportedModeError(f"the TIFF file is neither grey nor RGB, or its channels are separate: {CONVERT}")
    if page.compression not in (PLAIN, LZW, *DEFLATES) or page.predictor not in (1, DIFFERENCES):
        raise UnsupportedModeError(
            f"the TIFF file has compression {page.compression} with predictor {page.predictor}: {CONVERT}"
        )


def _tags(data: bytes) -> dict[int, tuple[int, ...]] | None:
    """Return the whole numbers of the first page's tags; None if the file ends before them.

    Raises: UnsupportedModeError.
    """
    if not data.startswith(SIGNATURES):
        raise _damaged("it has no header")
    order = "<" if data.startswith(b"II") else ">"
    at = _number(data, 4, "I", order)
    count = None if at is None else _number(data, at, "H", order)
    if at is None or count is None or len(data) < at + 2 + 12 * count:
        return None
    if count > MAX_TAGS:
        raise UnsupportedModeError(f"the TIFF file has {count} tags: {CONVERT}")
    tags: dict[int, tuple[int, ...]] = {}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(order + "HHI", data, place)
        if kind not in KINDS or tag in tags or values > MOST.get(tag, 0):
            continue
        wanted = struct.Struct(f"{order}{values}{KINDS[kind]}")
        start = place + 8 if wanted.size <= 4 else struct.unpack_from(order + "I", data, place + 8)[0]  # noqa: PLR2004  the field itself
        if start + wanted.size > len(data):
            return None
        tags[tag] = wanted.unpack_from(data, start)
    return tags


def _number(data: bytes, at: int, kind: str, order: str) -> int | None:
    if at + struct.calcsize(kind) > len(data):
        return None
    number: int = struct.unpack_from(order + kind, data, at)[0]
    return number


def _one(tags: Mapping[int, tuple[int, ...]], tag: int, default: int | None = None) -> int:
    values = tags.get(tag)
    if values:
        return values[0]
    if default is None:
        raise _damaged(f"its tag {tag} is missing")
    return default


def _damaged(found: str) -> TruncatedImageError:
    return TruncatedImageError(f"the image is truncated or damaged ({found}): send the whole file")
