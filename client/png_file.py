"""PNG files, written from rows of pixels and read for their text.

Pillow would take longer to write such a file than to draw what it shows.

Source: W3C, Portable Network Graphics: chunk layout (5.3), IHDR, PLTE and IDAT (11.2), tEXt (11.3.3.2), iTXt
(11.3.3.4); RFC 1950 and 1951 for stored blocks.
"""

import io
import struct
import zlib
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

SIGNATURE, END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
GREY, PALETTE = 0, 3
NOT_COMPRESSED, NO_LANGUAGE, NO_TRANSLATION = b"\0\0", b"\0", b"\0"
ZLIB_HEADER = b"\x78\x01"
STORED = struct.Struct("<?HH")  # whether it is the last block, its length, and that again with all bits turned
BLOCK_BYTES = 2**16 - 1


def mask_png(size: tuple[int, int], rows: bytes, text: bytes) -> bytes:
    """Return a picture of 1 bit a pixel; `rows` have a zero byte before each row, which is the PNG's filter."""
    return _png(size, (1, GREY), b"", text, zlib.compress(rows, 1))


def palette_png(size: tuple[int, int], rows: bytes, text: bytes, palette: bytes) -> bytes:
    """Return a picture of 8 bits a pixel with a palette, not compressed; `rows` as above."""
    return _png(size, (8, PALETTE), _chunk(b"PLTE", palette), text, _stored(rows))


def png_text(texts: Mapping[str, str]) -> bytes:
    """Return the chunks that say these texts; keys are ASCII."""
    return b"".join([_text_chunk(key.encode("ascii"), value) for key, value in texts.items()])


def read_text(data: bytes) -> dict[str, str]:
    """Read the text that a PNG file carries.

    Raises: OSError or ValueError, if it is no PNG file.
    """
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        image.load()  # text may stand behind the pixels
        if not isinstance(image, PngImageFile):
            raise TypeError("Pillow opened a PNG file as something else")
        return {key: str(value) for key, value in image.text.items()}


def _png(size: tuple[int, int], kind: tuple[int, int], palette: bytes, text: bytes, pixels: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", *size, *kind, 0, 0, 0))
    return b"".join([SIGNATURE, header, text, palette, _chunk(b"IDAT", pixels), END])


def _stored(content: bytes) -> bytes:
    """Return content as zlib's level 0 does, in a third of its time."""
    blocks = [ZLIB_HEADER]
    for start in range(0, len(content), BLOCK_BYTES):
        block = content[start : start + BLOCK_BYTES]
        last = start + BLOCK_BYTES >= len(content)
        blocks += [STORED.pack(last, len(block), BLOCK_BYTES - len(block)), block]
    return b"".join([*blocks, struct.pack(">I", zlib.adler32(content))])


def _text_chunk(key: bytes, value: str) -> bytes:
    if value.isascii():
        return _chunk(b"tEXt", key + b"\0" + value.encode("ascii"))
    return _chunk(b"iTXt", key + b"\0" + NOT_COMPRESSED + NO_LANGUAGE + NO_TRANSLATION + value.encode())


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return b"".join([struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)])
