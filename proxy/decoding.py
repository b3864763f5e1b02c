"""The bytes of an image file → the canvas that Triton takes; `tiles` does the work."""

from typing import NamedTuple

import numpy as np

import tiles
from proxy.errors import DamagedImageError, ImageTooLargeError, UnsupportedUploadError

JPEG, PNG = b"\xff\xd8", b"\x89PNG"
START_OF_SCAN = b"\xff\xda"  # in a JPEG; the coded pixels never hold these two bytes
MAX_SCANS = (
    250  # a progressive JPEG has about ten; as each is a pass over all pixels, a file of tiny ones takes minutes
)
COMPRESSED_CHUNKS = (b"iCCP", b"iTXt", b"zTXt")  # of a PNG, beside its pixels
MAX_COMPRESSED_CHUNKS = 16  # Pillow inflates each, to a megabyte at the most: 2 ms; a file has one or two of them


class DecodedTile(NamedTuple):
    """A tile ready for the network.

    Shapes: canvas (1, H32, W32) uint8; height and width in pixels are the upload's.
    """

    canvas: np.ndarray
    height: int
    width: int


def decode(data: bytes, *, max_pixels: int) -> DecodedTile:
    """Decode and pad one upload.

    Raises: UnsupportedUploadError, ImageTooLargeError, DamagedImageError, in the words of `tiles`.
    """
    _refuse_many_scans(data)
    _refuse_many_chunks(data)
    try:
        tile = tiles.decode_image(data, max_pixels=max_pixels)
    except (tiles.NotAnImageError, tiles.UnsupportedModeError) as error:
        raise UnsupportedUploadError(str(error)) from None
    except tiles.ImageTooLargeError as error:
        raise ImageTooLargeError(str(error)) from None
    except tiles.DecodeError as error:
        raise DamagedImageError(str(error)) from None
    height, width = tile.shape
    _refuse_large_canvas(height, width, max_pixels)
    return DecodedTile(tiles.pad(tile), height, width)


def _refuse_many_scans(data: bytes) -> None:
    """Count the second byte of the mark first: that is faster, and mostly enough."""
    if not data.startswith(JPEG) or data.count(START_OF_SCAN[1:]) <= MAX_SCANS:
        return
    scans = data.count(START_OF_SCAN)
    if scans > MAX_SCANS:
        raise UnsupportedUploadError(
            f"the JPEG file has {scans} scans, at most {MAX_SCANS} are read: save it as a baseline JPEG"
        )


def _refuse_many_chunks(data: bytes) -> None:
    """Count the chunks' names wherever they stand: so often they come nowhere else."""
    if not data.startswith(PNG):
        return
    chunks = sum(data.count(name) for name in COMPRESSED_CHUNKS)
    if chunks > MAX_COMPRESSED_CHUNKS:
        raise UnsupportedUploadError(
            f"the PNG file has {chunks} compressed profiles and texts, at most {MAX_COMPRESSED_CHUNKS} are read: save "
            "it without metadata"
        )


def _refuse_large_canvas(height: int, width: int, max_pixels: int) -> None:
    """A line of pixels passes the limit on the image and grows by 32 when it is padded."""
    padded_height, padded_width = tiles.canvas_size(height, width)
    if padded_height * padded_width > max_pixels:
        raise ImageTooLargeError(
            f"padded to multiples of {tiles.STRIDE} the image has {padded_width} x {padded_height} pixels, "
            f"at most {max_pixels} are taken: crop it to the tile"
        )
