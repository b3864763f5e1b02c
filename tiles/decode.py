"""Bytes of a file → image.

The file may come from a stranger, so its format and its size are checked before any pixel is decoded.

    DecodeError
    ├── NotAnImageError       neither JPEG nor PNG
    ├── ImageTooLargeError    more pixels than the caller allows
    ├── UnsupportedModeError  pixels that are not 8 or 16 bits per channel
    └── TruncatedImageError   the header is an image's, the rest is missing or damaged
"""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG")
EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr", "CMYK"})
SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L", "I"})  # Pillow opens a 16-bit grey PNG as one of these


class DecodeError(ValueError):
    """These bytes cannot be read as an image; the message says why and what to send."""


class NotAnImageError(DecodeError):
    """Neither JPEG nor PNG."""


class ImageTooLargeError(DecodeError):
    """More pixels than allowed."""


class UnsupportedModeError(DecodeError):
    """A kind of pixel that has no stated conversion to grey."""


class TruncatedImageError(DecodeError):
    """The header is an image's, the rest is missing or damaged."""


def decode_image(data: bytes, *, max_pixels: int) -> np.ndarray:
    """Decode a JPEG or PNG file to grey values.

    Colour becomes luma (ITU-R 601-2), transparency is ignored, 16-bit greys keep their upper 8 bits, and an EXIF
    orientation is not applied: the image keeps the stored width and height.

    Shapes: (H, W) uint8, 0–255.
    Raises: DecodeError, one of those at the top of this file.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _refuse_too_large(image.width, image.height, max_pixels)
            return _to_grey(image)
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise NotAnImageError("the bytes are neither a JPEG nor a PNG image: send one of these") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLargeError(f"the image has more than {max_pixels} pixels: send a smaller one") from None
    except (OSError, EOFError, SyntaxError, ValueError) as error:  # the last two: how Pillow names a bad PNG chunk
        raise TruncatedImageError(f"the image is truncated or damaged ({error}): send the whole file") from None


def _refuse_too_large(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"the image has {width} x {height} = {width * height} pixels, but at most {max_pixels} are allowed: "
            "crop it to the tile or send a smaller one"
        )


def _to_grey(image: Image.Image) -> np.ndarray:
    image.draft("L", image.size)  # a colour JPEG is then decoded straight to its luma
    image.info.pop("transparency", None)  # it changes no grey value, and Pillow warns of it in a palette
    if image.mode in SIXTEEN_BIT_MODES:
        return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
    if image.mode not in EIGHT_BIT_MODES:
        raise UnsupportedModeError(f"pixels of mode {image.mode} are not supported: send 8-bit grey or RGB")
    return np.asarray(image.convert("L"))
