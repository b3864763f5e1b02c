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
from tiles.errors import UnsupportedModeError, damaged
from tiles.structure import Essence, Size
from tiles.tiff_tags import (
    BITS,
    COMPRESSION,
    CONVERT,
    COUNTS,
    FILL_ORDER,
    HEIGHT,
    OFFSETS,
    ORIENTATION,
    PHOTOMETRIC,
    PLANES,
    PREDICTOR,
    ROWS,
    SAMPLE_FORMAT,
    SAMPLES,
    SIGNATURES,
    WIDTH,
    more_pages,
    one,
    read_tags,
)

PLAIN, LZW, DEFLATES = 1, 5, (8, 32946)
INVERTED, GREY, RGB = 0, 1, 2  # photometric interpretations
DIFFERENCES = 2  # the predictor that stores each pixel's difference from the one on its left
INFLATED_AT_ONCE = 8192
# Upper bounds in seconds; tests/test_crafted_images.py holds them against the slowest files that were found.
BYTE_S = 12e-9  # of inflated pixels: copy, add up, convert to grey
STRIP_S = 20e-6
LZW_STRIP_S = 200e-6  # Pillow opens it as a file
LZW_BYTE_S = 40e-9  # of compressed pixels: each second code may clear the table


@dataclass(frozen=True)
class _Page:
    """What the tags say. `offsets` and `sizes` are those of the strips in the file."""

    size: Size
    order: str
    bits: int
    samples: int
    photometric: int
    compression: int
    predictor: int
    rows: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    orientation: int

    @property
    def row_bytes(self) -> int:
        return self.size.width * self.samples * self.bits // 8

    @property
    def strips(self) -> int:
        return min(len(self.offsets), len(self.sizes))

    def parts(self) -> Iterator[tuple[int, int, int]]:
        """Give each strip's offset, size, and how many rows it has."""
        for number, (offset, size) in enumerate(zip(self.offsets, self.sizes, strict=False)):
            yield offset, size, min(self.rows, self.size.height - number * self.rows)


def size_of(start: bytes) -> Size | None:
    """Return the size that the first bytes of a file declare; None if they end before its tags."""
    tags = read_tags(start, (WIDTH, HEIGHT))
    return None if tags is None else Size(one(tags, HEIGHT), one(tags, WIDTH))


def essence(data: bytes, budget: Budget) -> Essence:
    """Return the file, once its tags were checked.

    Raises: TruncatedImageError, UnsupportedModeError, TooMuchWorkError.
    """
    page = _page(data)
    budget.check()
    strip_s = LZW_STRIP_S if page.compression == LZW else STRIP_S
    work_s = page.size.height * page.row_bytes * BYTE_S + page.strips * strip_s
    return Essence(data, page.size, work_s, page.orientation, more_pages(data))


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
            raise damaged(f"a strip has {len(found)} of {wanted} bytes")
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
    """Inflate so many bytes, some at a time, and go on to the checksum at the end: zeros would become pixels, too."""
    inflater, found, at = zlib.decompressobj(), bytearray(), 0
    try:
        while not inflater.eof and (at < len(strip) or inflater.unconsumed_tail):
            budget.check()
            piece = inflater.unconsumed_tail or strip[at : at + INFLATED_AT_ONCE]
            at += 0 if inflater.unconsumed_tail else len(piece)
            found += inflater.decompress(piece, 2**16)[: wanted - len(found)]
    except zlib.error as error:
        raise damaged(str(error)) from None
    if not inflater.eof:
        raise damaged("the end of a strip is missing")
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
    except Image.DecompressionBombError:
        raise UnsupportedModeError(f"the TIFF file has a strip of {wanted} bytes of pixels: {CONVERT}") from None
    except (OSError, ValueError) as error:
        raise damaged(str(error)) from None


def _page(data: bytes) -> _Page:
    """Read and check the first page's tags."""
    tags = read_tags(data)
    if tags is None:
        raise damaged("its tags are missing")
    size = Size(one(tags, HEIGHT), one(tags, WIDTH))
    bits = set(tags.get(BITS, (1,)))
    page = _Page(
        size=size,
        order="<" if data.startswith(b"II") else ">",
        bits=bits.pop() if len(bits) == 1 else 0,
        samples=one(tags, SAMPLES, 1),
        photometric=one(tags, PHOTOMETRIC, -1),
        compression=one(tags, COMPRESSION, PLAIN),
        predictor=one(tags, PREDICTOR, 1),
        rows=min(one(tags, ROWS, size.height), size.height),
        offsets=tags.get(OFFSETS, ()),
        sizes=tags.get(COUNTS, ()),
        orientation=one(tags, ORIENTATION, 1),
    )
    _require_readable(page, tags)
    if not (page.rows > 0 and size.width and page.strips == math.ceil(size.height / page.rows)):
        raise damaged("its strips do not make the image")
    return page


def _require_readable(page: _Page, tags: Mapping[int, tuple[int, ...]]) -> None:
    if not tags.get(OFFSETS):
        raise UnsupportedModeError(f"the TIFF file has no strips, but perhaps tiles: {CONVERT}")
    if one(tags, FILL_ORDER, 1) != 1:
        raise UnsupportedModeError(f"the TIFF file has the bits of each byte in reverse: {CONVERT}")
    if page.bits not in (8, 16) or set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
        raise UnsupportedModeError(f"the TIFF file has pixels of {page.bits} bits, or no whole numbers: {CONVERT}")
    channels = {INVERTED: (1, 2), GREY: (1, 2), RGB: (3, 4)}.get(page.photometric, ())
    if page.samples not in channels or (page.samples > 1 and one(tags, PLANES, 1) != 1):
        raise UnsupportedModeError(f"the TIFF file is neither grey nor RGB, or its channels are separate: {CONVERT}")
    # Without compression some readers follow a predictor, and others do not
    predictors = (1,) if page.compression == PLAIN else (1, DIFFERENCES)
    if page.compression not in (PLAIN, LZW, *DEFLATES) or page.predictor not in predictors:
        raise UnsupportedModeError(
            f"the TIFF file has compression {page.compression} with predictor {page.predictor}: {CONVERT}"
        )
