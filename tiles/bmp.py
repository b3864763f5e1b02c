"""BMP as cameras write it: 8, 24 or 32 bits a pixel, without compression.

Source: Microsoft's documentation of BITMAPFILEHEADER and BITMAPINFOHEADER.
"""

import struct

import numpy as np

from tiles.budget import Budget
from tiles.errors import NotAnImageError, UnsupportedModeError, damaged
from tiles.structure import Essence, Size

SIGNATURE = b"BM"
HEADERS = (40, 52, 56, 64, 108, 124)  # sizes of the second header's versions; all begin with the same fields
FIELDS = struct.Struct("<IiiHHIIiiII")
BEFORE = 14  # bytes of the first header
BITS = (8, 24, 32)
COLOURS = 256
BYTE_S = 6e-9  # of pixels: unpack and convert to grey; tests/test_crafted_images.py holds it against real files
CONVERT = "save it with 8 or 24 bits and without compression, or convert it: magick photo.bmp photo.png"


def size_of(start: bytes) -> Size | None:
    """Return the size that the first bytes of a file declare; None if they end before its header.

    Raises: NotAnImageError.
    """
    if len(start) < BEFORE + FIELDS.size:
        return None
    size, width, height, *_ = FIELDS.unpack_from(start, BEFORE)
    if size not in HEADERS:
        raise NotAnImageError(f"the file begins like a BMP image but has no BMP header: {CONVERT}")
    return Size(abs(height), max(width, 0))


def essence(data: bytes, budget: Budget) -> Essence:
    """Return the file with a header of our own.

    Raises: NotAnImageError, UnsupportedModeError, TruncatedImageError, TooMuchWorkError.
    """
    budget.check()
    size = size_of(data)
    if size is None or not size.width or not size.height:
        raise damaged("its header is missing or wrong")
    header_bytes, width, height, _, bits, compression, _, _, _, colours, _ = FIELDS.unpack_from(data, BEFORE)
    if bits not in BITS or compression:
        raise UnsupportedModeError(f"the BMP file has {bits} bits a pixel and compression {compression}: {CONVERT}")
    (offset,) = struct.unpack_from("<I", data, 10)
    has_palette = bits == 8  # noqa: PLR2004
    colours = min(colours or COLOURS, COLOURS) if has_palette else 0
    palette_at = BEFORE + header_bytes
    pixels = size.height * (-(-width * bits // 32) * 4)  # a row is a multiple of 4 bytes
    if palette_at + 4 * colours > len(data) or offset + pixels > len(data):
        raise damaged("its pixels are missing")
    rows = np.frombuffer(data, np.uint8, pixels, offset).reshape(size.height, -1)
    if has_palette and rows[:, :width].max() >= colours:
        raise damaged("a pixel's colour is not in its palette")
    # Always a whole palette: with one of two colours, Pillow takes each byte for eight pixels
    palette = data[palette_at : palette_at + 4 * colours].ljust(4 * COLOURS, b"\0") if has_palette else b""
    start = BEFORE + FIELDS.size + len(palette)
    headers = struct.pack("<2sIHHI", SIGNATURE, start + pixels, 0, 0, start) + FIELDS.pack(
        FIELDS.size, width, height, 1, bits, 0, pixels, 0, 0, len(palette) // 4, 0
    )
    return Essence(headers + palette + data[offset : offset + pixels], size, pixels * BYTE_S)
