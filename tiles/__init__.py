"""What an image is in this project: bytes ↔ tile ↔ canvas, mask ↔ bytes.

Training, evaluation and the proxy all read and write pixels through this package, so the network sees in
production what it saw in training. It stands on Pillow and numpy alone and knows neither torch nor aiohttp.

Words:
    tile    (H, W) uint8, the grey values 0–255 of one photographed magnetic tile
    canvas  (1, H32, W32) uint8, the tile padded at the bottom and right to multiples of 32
    mask    (H, W) bool, True where the tile is defective
"""

from tiles.canvas import STRIDE, canvas_size, crop, pad
from tiles.decode import (
    DecodeError,
    NotAnImageError,
    TileTooLargeError,
    TruncatedImageError,
    UnsupportedModeError,
    decode_tile,
)
from tiles.defects import DEFECT_TYPES
from tiles.mask import decode_mask, encode_mask_png

__all__ = [
    "DEFECT_TYPES",
    "STRIDE",
    "DecodeError",
    "NotAnImageError",
    "TileTooLargeError",
    "TruncatedImageError",
    "UnsupportedModeError",
    "canvas_size",
    "crop",
    "decode_mask",
    "decode_tile",
    "encode_mask_png",
    "pad",
]
