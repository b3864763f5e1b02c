"""PNG files, written from rows of pixels and read for their text.

Pillow would take longer to write such a file than to draw what it shows.

Source: W3C, Portable Network Graphics: chunk layout (5.3), IHDR, PLTE and IDAT (11.2), tEXt (11.3.3.2), iTXt
(11.3.3.4); RFC 1950 and 1951 for stored blocks.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

SIGNATURE, END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
GREY, PALETTE = 0, 3
NOT_COMPRESSED, NO_LANGUAGE, NO_TRANSLATION = b"\0\0", b"\0", b"\0"
ZLIB_HEADER = b"\x78\x01"
STORED = struct.Struct("<?HH")  # whether it is the last block, its length, and that again with all bits turned
BLOCK_BYTES = 2**16 - 1
Bytes = bytes | memoryview


def mask_png(size: tuple[int, int], rows: bytes, text: bytes) -> bytes:
    """Return a picture of 1 bit a pixel; before each row stands a zero byte: it is not filtered."""
    return b"".join([*_start(size, 1, GREY), text, *_chunk(b"IDAT", zlib.compress(rows, 1)), END])


def palette_png(size: tuple[int, int], rows: bytes, text: bytes, palette: bytes) -> bytes:
    """Return a picture of 8 bits a pixel with a palette, not compressed; rows as above."""
    start = _start(size, 8, PALETTE)
    return b"".join([*start, text, *_chunk(b"PLTE", palette), *_chunk(b"IDAT", *_stored(rows)), END])


def png_text(texts: Mapping[str, str]) -> bytes:
    """Return the chunks that say these texts; keys are ASCII."""
    return b"".join([part for key, value in texts.items() for part in _text_chunk(key.encode("ascii"), value)])


def read_text(data: bytes) -> dict[str, str]:
    """Read the text that a PNG file carries.

    Raises: one of `errors.DAMAGED`, if it is no PNG file.
    """
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        image.load()  # text may stand behind the pixels
        if not isinstance(image, PngImageFile):
            raise TypeError("Pillow opened a PNG file as something else")
        return {key: str(value) for key, value in image.text.items()}


def _start(size: tuple[int, int], bits: int, kind: int) -> list[Bytes]:
    return [SIGNATURE, *_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, kind, 0, 0, 0))]


def _stored(content: bytes) -> Iterator[Bytes]:
    """Give the parts of what zlib's level 0 returns, in a third of its time."""
    yield ZLIB_HEADER
    rest = memoryview(content)
    while rest:
        block, rest = rest[:BLOCK_BYTES], rest[BLOCK_BYTES:]
        yield STORED.pack(not rest, len(block), BLOCK_BYTES - len(block))
        yield block
    yield struct.pack(">I", zlib.adler32(content))


def _text_chunk(key: bytes, value: str) -> list[Bytes]:
    if value.isascii():
        return _chunk(b"tEXt", key, b"\0", value.encode("ascii"))
    return _chunk(b"iTXt", key, b"\0", NOT_COMPRESSED, NO_LANGUAGE, NO_TRANSLATION, value.encode())


def _chunk(kind: bytes, *content: Bytes) -> list[Bytes]:
    """Return a chunk in parts, so that large ones are copied only once."""
    checksum = zlib.crc32(kind)
    for part in content:
        checksum = zlib.crc32(part, checksum)
    return [struct.pack(">I", sum(map(len, content))), kind, *content, struct.pack(">I", checksum)]
