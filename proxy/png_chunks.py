"""PNG chunk by chunk: texts in a finished picture, and the picture of a mask without a defect.

Pillow writes all other pictures. For an empty mask, which most are, it takes ten times as long.

Source: the PNG specification (W3C), sections 5 and 11.
"""

import io
import zlib
from collections.abc import Mapping
from functools import lru_cache

from PIL.PngImagePlugin import PngInfo, putchunk

from tiles.png import END_CHUNK, HEADER, HEADER_END, SIGNATURE

ONE_BIT = (1, 0, 0, 0, 0)  # a pixel, grey; the only ways to compress and to filter; not interlaced


def add_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """Return the same picture with these texts behind its header."""
    return b"".join([png[:HEADER_END], *(_text_chunk(*each) for each in texts.items()), png[HEADER_END:]])


@lru_cache(maxsize=256)  # most texts describe the model, or are the same for every sound image
def _text_chunk(name: str, text: str) -> bytes:
    info = PngInfo()
    (info.add_text if text.isascii() else info.add_itxt)(name, text)
    return b"".join(_chunk(kind, data) for kind, data, _ in info.chunks)


def black_png(height: int, width: int) -> bytes:
    """Return a black picture of one bit a pixel; sizes in pixels."""
    rows = bytes(height * (1 + -(-width // 8)))  # before each row a byte says that it is not filtered
    compressor = zlib.compressobj(strategy=zlib.Z_FILTERED)  # as Pillow does
    pixels = compressor.compress(rows) + compressor.flush()
    return SIGNATURE + _chunk(b"IHDR", HEADER.pack(width, height, *ONE_BIT)) + _chunk(b"IDAT", pixels) + END_CHUNK


def _chunk(kind: bytes, data: bytes) -> bytes:
    buffer = io.BytesIO()
    putchunk(buffer, kind, data)
    return buffer.getvalue()
