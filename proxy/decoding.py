"""The bytes of an image file → the canvas that Triton takes; `tiles` does the work."""

from typing import NamedTuple

import numpy as np

import tiles
from proxy.errors import DamagedImageError, ImageTooLargeError, UnsupportedUploadError

JPEG, PNG = b"\xff\xd8", b"\x89PNG"
START_OF_SCAN = b"\xff\xda"  # a JPEG's marker; its coded pixels never hold these two bytes
# A progressive JPEG has about ten scans. Each is a pass over all pixels, so a file of many tiny scans takes minutes.
MAX_SCANS = 250
COMPRESSED_CHUNKS = (b"iCCP", b"iTXt", b"zTXt")  # of a PNG, beside its pixels
MAX_COMPRESSED_CHUNKS = 16  # Pillow inflates each to a megabyte at most, in 2 ms; a usual file has one or two


class DecodedImage(NamedTuple):
    """An image padded for the network.

    Shapes: canvas (1, H32, W32) uint8; height and width in pixels are the upload's.
    """

    canvas: np.ndarray
    height: int
    width: int


def decode(data: bytes, *, max_pixels: int) -> DecodedImage:
    """Decode and pad one upload.

    Raises: UnsupportedUploadError, ImageTooLargeError, DamagedImageError, in the words of `tiles`.
    """
    _refuse_many_scans(data)
    _refuse_many_chunks(data)
    try:
        image = tiles.decode_image(data, max_pixels=max_pixels)  # (H, W)
    except (tiles.NotAnImageError, tiles.UnsupportedModeError) as error:
        raise UnsupportedUploadError(str(error)) from None
    except tiles.ImageTooLargeError as error:
        raise ImageTooLargeError(str(error)) from None
    except tiles.DecodeError as error:
        raise DamagedImageError(str(error)) from None
    height, width = image.shape
    _refuse_large_canvas(height, width, max_pixels)
    return DecodedImage(tiles.pad(image), height, width)


def _refuse_many_scans(data: bytes) -> None:
    """Count the marker's second byte first: that is faster, and usually enough."""
    if not data.startswith(JPEG) or data.count(START_OF_SCAN[1:]) <= MAX_SCANS:
        return
    scans = data.count(START_OF_SCAN)
    if scans > MAX_SCANS:
        raise UnsupportedUploadError(
            f"the JPEG file has {scans} scans, but at most {MAX_SCANS} are allowed: save it as a baseline JPEG"
        )


def _refuse_many_chunks(data: bytes) -> None:
    """Count the chunks' names wherever they stand: elsewhere they are too rare to reach the limit."""
    if not data.startswith(PNG):
        return
    chunks = sum(data.count(name) for name in COMPRESSED_CHUNKS)
    if chunks > MAX_COMPRESSED_CHUNKS:
        raise UnsupportedUploadError(
            f"the PNG file has {chunks} compressed profiles and texts, but at most {MAX_COMPRESSED_CHUNKS} are "
            "allowed: save it without metadata"
        )


def _refuse_large_canvas(height: int, width: int, max_pixels: int) -> None:
    """Refuse an image that only padding makes too large: a single line of pixels grows 32 times."""
    padded_height, padded_width = tiles.canvas_size(height, width)
    if padded_height * padded_width > max_pixels:
        raise ImageTooLargeError(
            f"padded to multiples of {tiles.STRIDE} the image has {padded_width} x {padded_height} pixels, but at most "
            f"{max_pixels} are allowed: crop it to the tile"
        )
