"""Mask ↔ bytes."""

import io

import numpy as np
from PIL import Image

from tiles.decode import decode_image


def decode_mask(data: bytes, *, above: int, max_pixels: int) -> np.ndarray:
    """Decode a labelled mask file: a pixel is defective if its grey value is greater than `above`.

    The published masks are anti-aliased, so the rule matters: `above=127` keeps pixels that are mostly covered,
    `above=0` all that the defect touches.

    Shapes: (H, W) bool.
    Raises: DecodeError, as `decode_image` does.
    """
    return decode_image(data, max_pixels=max_pixels) > above


def encode_mask_png(mask: np.ndarray) -> bytes:
    """Encode a mask as a 1-bit grey PNG, white where defective.

    Shapes: mask (H, W) bool.
    """
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    return buffer.getvalue()
