"""Bytes of a file → image.

The file may come from a stranger, so its format, its size and the work that it takes are checked before any pixel is
decoded, and Pillow sees no metadata.
"""

import io
import math

import numpy as np
from PIL import Image, UnidentifiedImageError

from tiles import jpeg, png
from tiles.budget import Budget, BudgetedFile
from tiles.errors import DecodeError, ImageTooLargeError, NotAnImageError, TruncatedImageError, UnsupportedModeError
from tiles.structure import Essence, Size

FORMATS = ("JPEG", "PNG")
EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr", "CMYK"})
SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L", "I"})  # Pillow opens a 16-bit grey PNG as one of these
NEITHER = "the bytes are neither a JPEG nor a PNG image: send one of these"
INFLATED_AT_ONCE = 8192  # bytes of a PNG's compressed pixels, between two looks at the budget


def decode_image(data: bytes, *, max_pixels: int, budget_s: float = math.inf) -> np.ndarray:
    """Decode a JPEG or PNG file to grey values, within so many seconds of this thread's processor time.

    Colour becomes luma (ITU-R 601-2), transparency is ignored, 16-bit greys keep their upper 8 bits, and an EXIF
    orientation is not applied: the image keeps the stored width and height.

    Shapes: (H, W) uint8, 0–255.
    Raises: DecodeError, as drawn in tiles/errors.py.
    """
    budget = Budget(budget_s)
    essence = _essence(data, budget)
    _refuse_too_large(essence.size, max_pixels)
    budget.check(essence.work_s)
    try:
        with Image.open(_file(essence, budget), formats=FORMATS) as image:
            _refuse_too_large(Size(image.height, image.width), max_pixels)
            if image.format == "PNG":
                image.decodermaxblock = INFLATED_AT_ONCE
            return _to_grey(image)
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise NotAnImageError(NEITHER) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLargeError(f"the image has more than {max_pixels} pixels: send a smaller one") from None
    except (OSError, EOFError, SyntaxError, ValueError) as error:  # the last two: how Pillow names a bad PNG chunk
        raise TruncatedImageError(f"the image is truncated or damaged ({error}): send the whole file") from None


def declared_size(start: bytes) -> Size | None:
    """Return the size that the first bytes of a file declare; None if they end before it is told.

    Raises: NotAnImageError, UnsupportedModeError, TruncatedImageError.
    """
    if start.startswith(jpeg.SIGNATURE):
        return jpeg.size_of(start)
    if start.startswith(png.SIGNATURE):
        return png.size_of(start)
    if png.SIGNATURE.startswith(start) or jpeg.SIGNATURE.startswith(start):
        return None
    raise NotAnImageError(NEITHER)


def _essence(data: bytes, budget: Budget) -> Essence:
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.essence(data, budget)
    if data.startswith(png.SIGNATURE):
        return png.essence(data, budget)
    raise NotAnImageError(NEITHER)


def _file(essence: Essence, budget: Budget) -> io.BytesIO:
    """Watch a PNG while it is inflated. A JPEG's work is known by now, and watching it would cost 2 % of its time."""
    if essence.data.startswith(png.SIGNATURE):
        return BudgetedFile(essence.data, budget)
    return io.BytesIO(essence.data)


def _refuse_too_large(size: Size, max_pixels: int) -> None:
    height, width = size
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
