"""Decoding, padding, masks, and the rule that turns probabilities into a mask: bytes ↔ image ↔ canvas, mask ↔ bytes.

Training, evaluation and the proxy all read and write pixels with this package, so the network sees in
production what it saw in training. It uses only Pillow and numpy and knows neither torch nor aiohttp.

Words (docs/glossary.md has the rest):
    tile    the physical object; it is photographed several times
    image   (H, W) uint8, the grey values 0–255 of one photograph of a tile
    canvas  (1, H32, W32) uint8, the image padded at the bottom and right to multiples of 32
    mask    (H, W) bool, True where the image shows a defect
"""

from tiles.canvas import STRIDE, canvas_size, crop, pad
from tiles.decode import Picture, declared_size, decode_image, read_image
from tiles.defects import DEFECT_TYPES
from tiles.errors import (
    DecodeError,
    ImageTooLargeError,
    NotAnImageError,
    TooMuchWorkError,
    TruncatedImageError,
    UnsupportedModeError,
)
from tiles.mask import decode_mask, encode_mask_png
from tiles.structure import Size

__all__ = [
    "DEFECT_TYPES",
    "STRIDE",
    "DecodeError",
    "ImageTooLargeError",
    "NotAnImageError",
    "Picture",
    "Size",
    "TooMuchWorkError",
    "TruncatedImageError",
    "UnsupportedModeError",
    "canvas_size",
    "crop",
    "declared_size",
    "decode_image",
    "decode_mask",
    "encode_mask_png",
    "pad",
    "read_image",
]
