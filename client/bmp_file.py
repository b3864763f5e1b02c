"""BMP files, changed so that Pillow shows their pixels: with a palette of two colours, it reads a byte as eight pixels.

Source: Microsoft's documentation of BITMAPINFOHEADER.
"""

import struct

BMP_SIGNATURE = b"BM"
BITS_AT, COLOURS_AT = 28, 46
ALL = 0  # as many colours as the bits can count


def plain_bmp(data: bytes) -> bytes:
    """Return a file with the same pixels."""
    if data[BITS_AT : BITS_AT + 2] != b"\x08\0":
        return data
    return data[:COLOURS_AT] + struct.pack("<I", ALL) + data[COLOURS_AT + 4 :]
