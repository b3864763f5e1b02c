"""Text that travels in a PNG file: keys and values beside the pixels.

Pillow would write each text of each picture anew, which takes as long as drawing it.

Source: W3C, Portable Network Graphics: chunk layout (5.3), tEXt (11.3.3.2), iTXt (11.3.3.4).
"""

import io
import struct
import zlib
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

HEADER_BYTES = 8 + 25  # the signature and the chunk IHDR, which comes first
NOT_COMPRESSED, NO_LANGUAGE, NO_TRANSLATION = b"\0\0", b"\0", b"\0"


def png_text(texts: Mapping[str, str]) -> bytes:
    """Return the chunks that say these texts; keys are ASCII."""
    return b"".join(_chunk(key.encode("ascii"), value) for key, value in texts.items())


def with_text(png: bytes, chunks: bytes) -> bytes:
    """Return a PNG file with these chunks in it."""
    return png[:HEADER_BYTES] + chunks + png[HEADER_BYTES:]


def read_text(data: bytes) -> dict[str, str]:
    """Read the text that a PNG file carries.

    Raises: OSError or ValueError, if it is no PNG file.
    """
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        image.load()  # text may stand behind the pixels
        if not isinstance(image, PngImageFile):
            raise TypeError("Pillow opened a PNG file as something else")
        return {key: str(value) for key, value in image.text.items()}


def _chunk(key: bytes, value: str) -> bytes:
    if value.isascii():
        kind, content = b"tEXt", key + b"\0" + value.encode("ascii")
    else:
        kind = b"iTXt"
        content = key + b"\0" + NOT_COMPRESSED + NO_LANGUAGE + NO_TRANSLATION + value.encode()
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
