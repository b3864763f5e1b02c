"""Bytes of a file → image.

The file may come from a stranger, so its format, its size and the work that it takes are checked before any pixel is
decoded, and Pillow sees no metadata.
"""

import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from tiles import png, tiff
from tiles.budget import Budget, BudgetedFile
from tiles.errors import DecodeError, ImageTooLargeError, TruncatedImageError, UnsupportedModeError, damaged
from tiles.formats import may_become_known, require_format
from tiles.remarks import Remark, coloured, dark, first_of_several, turned
from tiles.structure import Essence, Size

FORMATS = ("JPEG", "PNG", "BMP")
EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr", "CMYK"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "CMYK"})  # YCbCr has its luma already
SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L", "I"})  # Pillow opens a 16-bit grey PNG as one of these
INFLATED_AT_ONCE = 8192  # bytes of a PNG's compressed pixels, between two looks at the budget
GREY_AXES = 2
NO_COLOUR = 128  # of the two colour channels of YCbCr
EVERY = 8  # row and column of a colour image is looked at for its colours


class Picture(NamedTuple):
    """A decoded file. Shapes: image (H, W) uint8, grey values 0–255."""

    image: np.ndarray
    remarks: list[Remark]


def decode_image(data: bytes, *, max_pixels: int, budget_s: float = math.inf) -> np.ndarray:
    """Do what `read_image` does, and return the image alone. Shapes: (H, W) uint8, 0–255."""
    return read_image(data, max_pixels=max_pixels, budget_s=budget_s).image


def read_image(data: bytes, *, max_pixels: int, budget_s: float = math.inf) -> Picture:
    """Decode a file to grey values, within so many seconds of this thread's processor time.

    Colour becomes luma (ITU-R 601-2), transparency is ignored, 16-bit greys keep their upper 8 bits, and an EXIF
    orientation is not applied: the image keeps the stored width and height.

    Raises: DecodeError, as drawn in tiles/errors.py.
    """
    budget = Budget(budget_s)
    reader = require_format(data)
    essence = reader.essence(data, budget)
    _refuse_too_large(essence.size, max_pixels)
    budget.check(essence.work_s)
    if reader is tiff:
        picture = _grey_of_pixels(tiff.decode(essence.data, budget))
    else:
        picture = _decode_with_pillow(essence, budget, max_pixels)
    picture.remarks.extend(turned(essence.orientation))
    if essence.more_pages:
        picture.remarks.append(first_of_several())
    return picture


def declared_size(start: bytes) -> Size | None:
    """Return the size that the first bytes of a file declare; None if they end before it is told.

    Raises: NotAnImageError, UnsupportedModeError, TruncatedImageError, TooMuchWorkError.
    """
    return None if may_become_known(start) else require_format(start).size_of(start)


def _decode_with_pillow(essence: Essence, budget: Budget, max_pixels: int) -> Picture:
    try:
        with Image.open(_file(essence, budget), formats=FORMATS) as image:
            _refuse_too_large(Size(image.height, image.width), max_pixels)
            if image.format == "PNG":
                image.decodermaxblock = INFLATED_AT_ONCE
            picture = _to_grey(image)
            if image.format == "PNG" and (image.mode == "P" or _ends_black(picture.image)):
                png.require_all_rows(essence.data, budget)
            if image.format == "PNG" and essence.data[24] == 16 and image.mode in {"RGB", "RGBA"}:  # noqa: PLR2004  bits
                # of 16-bit colours Pillow gives the upper bytes alone
                picture.remarks.extend(dark(np.asarray(image)[..., :3].astype(np.uint16) << 8))
            return picture
    except DecodeError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLargeError(f"the image has more than {max_pixels} pixels: send a smaller one") from None
    except UnidentifiedImageError:
        raise TruncatedImageError("the image is damaged (its header is wrong): send the whole file") from None
    except (OSError, EOFError, SyntaxError, ValueError) as error:  # the last two: how Pillow names a bad PNG chunk
        raise damaged(str(error)) from None


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


def _to_grey(image: Image.Image) -> Picture:
    if not _stores_rgb(image):
        image.draft("YCbCr", image.size)  # a colour JPEG's luma is not computed anew
    image.info.pop("transparency", None)  # it changes no grey value, and Pillow warns of it in a palette
    if image.mode in SIXTEEN_BIT_MODES:
        return _grey_of_pixels(np.asarray(image).astype(np.uint16))
    if image.mode not in EIGHT_BIT_MODES:
        raise UnsupportedModeError(f"pixels of mode {image.mode} are not supported: send 8-bit grey or RGB")
    if image.mode == "YCbCr":
        luma, *colours = image.split()
        difference = max(int(abs(np.asarray(each)[::EVERY, ::EVERY].astype(int) - NO_COLOUR).max()) for each in colours)
        return Picture(np.asarray(luma), coloured(2 * difference))  # red and blue differ from grey by almost twice
    if image.palette and np.asarray(image).max() >= len(image.palette.palette) // 3:
        raise TruncatedImageError("the image is damaged (a pixel's colour is not in its palette): send the whole file")
    if image.mode in COLOUR_MODES:
        return _grey_of_pixels(np.asarray(image if image.mode == "RGB" else image.convert("RGB")))
    return Picture(np.asarray(image if image.mode == "L" else image.convert("L")), [])  # `convert` would copy it


def _ends_black(image: np.ndarray) -> bool:
    """Return whether one of the last two rows is black, as rows that are missing from a PNG file are.

    The last pixels of an interlaced file are in one of these two, unless it has a single row. Only with a palette can
    missing pixels have another colour.
    """
    return len(image) == 1 or bool(not image[-2:].any(axis=1).all())


def _stores_rgb(image: Image.Image) -> bool:
    """Return whether it is a JPEG file without luma, by libjpeg's rule."""
    numbers = [layer[0] for layer in getattr(image, "layer", ())]
    return "jfif" not in image.info and image.info.get("adobe_transform", numbers != list(b"RGB")) == 0


def _grey_of_pixels(pixels: np.ndarray) -> Picture:
    """Turn pixels into grey. Shapes: (H, W) or (H, W, 3), uint8 or uint16."""
    remarks = []
    if pixels.dtype == np.uint16:
        remarks += dark(pixels)
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == GREY_AXES:
        return Picture(pixels, remarks)
    few = pixels[::EVERY, ::EVERY].astype(int)
    remarks += coloured(int((few.max(axis=2) - few.min(axis=2)).max()))
    return Picture(np.asarray(Image.fromarray(pixels).convert("L")), remarks)
