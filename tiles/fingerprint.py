"""Exact integers that tell images apart: a server's answer brings those of the image that it belongs to.

The served graph computes the same numbers (`training.graphs.proof`) in types that keep every sum exact. So they are
equal to the bit on every processor and in every precision of the network.
"""

from functools import lru_cache

import numpy as np

# The weights of a place x are 1 and 1 + (SQUARE · x² + LINEAR · x) mod PRIME: two of a column, two of a row, and so
# four sums an image. The square keeps a shifted image from looking like the same image with another sum.
SQUARES, LINEARS = (0, 211), (0, 83)
COLUMN_PRIME = 61  # a column's weight is a byte for the graph, and float32 keeps a row's sum exact up to EXACT_WIDTH
ROW_PRIME = 2039  # 255 · 61 · 2039 · 2²⁷ pixels < 2⁵³: the largest MAX_PIXELS stays exact
EXACT_WIDTH = 2**24 // (255 * COLUMN_PRIME)  # pixels
SUMS = len(SQUARES) ** 2
PIXELS_AT_ONCE = 2**17  # as floats they stay in the processor's cache


def fingerprint(images: np.ndarray) -> np.ndarray:
    """Return four sums of each image's pixels, weighted by their position.

    Shapes: (N, 1, H, W) uint8 → (N, SUMS) int64.
    """
    count, _, height, width = images.shape
    number: type = np.float32 if width <= EXACT_WIDTH else np.float64  # half the time, and as exact
    columns: np.ndarray = weights(width, COLUMN_PRIME).astype(number)  # (W, 2)
    rows = images.reshape(count * height, width)
    step = max(1, PIXELS_AT_ONCE // width)
    parts = [rows[first : first + step].astype(number) @ columns for first in range(0, len(rows), step)]
    by_row = np.concatenate(parts).reshape(count, 1, height, 2)
    wrapped = by_row.astype(np.int64).astype(np.int32)  # as the graph's 32-bit sums of an image wider than 130,000
    sums: np.ndarray = weights(height, ROW_PRIME).T.astype(np.float64) @ wrapped.astype(np.float64)  # (N, 1, 2, 2)
    return sums.astype(np.int64).reshape(count, SUMS)


def proof(image: np.ndarray, probability: np.ndarray, defect_type: np.ndarray) -> np.ndarray:
    """Return what the served tensor `fingerprint` must say: the fingerprints of the input and of both outputs.

    Shapes: three (N, 1, H, W) uint8 → (N, 3 · SUMS) int64.
    """
    return np.concatenate([fingerprint(each) for each in (image, probability, defect_type)], axis=1)


@lru_cache(maxsize=256)
def weights(length: int, prime: int) -> np.ndarray:
    """Return the weights of the places 0 … length - 1, (length, 2) int64."""
    places = np.arange(length)[:, np.newaxis]
    return 1 + (places * places * SQUARES + places * LINEARS) % prime
