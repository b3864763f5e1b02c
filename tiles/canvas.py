"""Image ↔ canvas: pad to a size that the network accepts, and the exact inverse."""

import numpy as np

STRIDE = 32  # the encoder halves its input five times, so both sides must be multiples of 2**5


def canvas_size(height: int, width: int) -> tuple[int, int]:
    """Return the smallest canvas for an image of this size, as (height, width) in pixels: multiples of STRIDE."""
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE


def pad(image: np.ndarray) -> np.ndarray:
    """Pad an image at the bottom and right with its own edge pixels. `np.pad` takes twice as long for a small one.

    Shapes: image (H, W) uint8 → canvas (1, H32, W32) uint8.
    """
    height, width = image.shape
    canvas = np.empty((1, *canvas_size(height, width)), image.dtype)
    canvas[0, :height, :width] = image
    canvas[0, height:, :width] = image[-1]
    canvas[0, :, width:] = canvas[0, :, width - 1, np.newaxis]
    return canvas


def crop(canvas: np.ndarray, height: int, width: int) -> np.ndarray:
    """Undo `pad`: return the top left (height, width) pixels of the canvas's one channel, without a copy.

    Shapes: canvas (1, H32, W32) → (height, width), same dtype.
    """
    return canvas[0, :height, :width]
