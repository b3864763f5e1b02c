"""The bytes of an image file → the canvas that Triton takes; `tiles` does the work."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

import tiles
from proxy.errors import DamagedImageError, ImageTooLargeError, TooMuchWorkError, UnsupportedUploadError
from tiles.remarks import Remark


class DecodedImage(NamedTuple):
    """An image padded for the network.

    Shapes: canvas (1, H32, W32) uint8; height and width in pixels are the upload's.

    Attributes:
        remarks: what a person should know of the file.
    """

    canvas: np.ndarray
    height: int
    width: int
    remarks: Sequence[Remark] = ()


def decode(data: bytes, *, max_pixels: int, budget_s: float) -> DecodedImage:
    """Decode and pad one upload, within so many seconds of this thread's processor time.

    Raises: UnsupportedUploadError, ImageTooLargeError, DamagedImageError, TooMuchWorkError, in the words of `tiles`.
    """
    with _refusals():
        image, remarks = tiles.read_image(data, max_pixels=max_pixels, budget_s=budget_s)  # (H, W)
    height, width = image.shape
    _refuse_large_canvas(height, width, max_pixels)
    return DecodedImage(tiles.pad(image), height, width, remarks)


def canvas_pixels(start: bytes, *, max_pixels: int) -> int | None:
    """Return the pixels of an upload's canvas, from its first bytes; None if they do not tell.

    Raises: UnsupportedUploadError, ImageTooLargeError, DamagedImageError, TooMuchWorkError.
    """
    with _refusals():
        size = tiles.declared_size(start)
    if size is None:
        return None
    _refuse_large_canvas(*size, max_pixels)
    return math.prod(tiles.canvas_size(*size))


@contextmanager
def _refusals() -> Iterator[None]:
    """Translate what `tiles` raises."""
    try:
        yield
    except (tiles.NotAnImageError, tiles.UnsupportedModeError) as error:
        raise UnsupportedUploadError(str(error)) from None
    except tiles.ImageTooLargeError as error:
        raise ImageTooLargeError(str(error)) from None
    except tiles.TooMuchWorkError as error:
        raise TooMuchWorkError(str(error)) from None
    except tiles.DecodeError as error:
        raise DamagedImageError(str(error)) from None


def _refuse_large_canvas(height: int, width: int, max_pixels: int) -> None:
    """Refuse an image that only padding makes too large: a single line of pixels grows 32 times."""
    padded_height, padded_width = tiles.canvas_size(height, width)
    if padded_height * padded_width > max_pixels:
        raise ImageTooLargeError(
            f"padded to multiples of {tiles.STRIDE} the image has {padded_width} x {padded_height} pixels, but at most "
            f"{max_pixels} are allowed: crop it to the tile"
        )
