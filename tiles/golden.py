"""One made-up image whose answer is known: asked of a served model, it shows a damaged one.

A fingerprint proves whose answer it is, not that it is right: the graph's file may have changed on its way to a server
that does not check its sha256. What a model must answer stands in its config.pbtxt.
"""

import numpy as np

SIDE = 128  # pixels
CELL = 32  # pixels of a side of the squares that hold one mark each: spot, scratch, patch, each deeper than the last
BACKGROUND, GRAIN, SHALLOWEST, DEEPEST = 110, 29, 10, 90  # grey levels; of those tried they give the most unsure pixels
RADIUS = 5  # pixels of a mark
BLOCK = 16  # pixels of a side of the squares whose mean probabilities are compared
# Grey levels of a block's mean. int8 and float32 differ by up to 6 on this image, fp16 and float32 by less than 1; each
# precision is compared with itself, so what is left is the processor: int8 without VNNI, the arithmetic of a GPU.
TOLERANCE = 8


def golden_canvas() -> np.ndarray:
    """Return the image. Shapes: (1, SIDE, SIDE) uint8."""
    y, x = np.mgrid[:SIDE, :SIDE]
    grey = BACKGROUND + (7 * x * x + 13 * x * y + 5 * y * y) % GRAIN
    cells = SIDE // CELL
    for number in range(cells**2):
        down, right = y - CELL * (number // cells) - CELL // 2, x - CELL * (number % cells) - CELL // 2
        spot = down**2 + right**2 < RADIUS**2
        scratch = (abs(down - right // 3) <= 1) & (abs(right) < CELL // 2 - 2)
        patch = (abs(right) < RADIUS) & (abs(down) < RADIUS + x * x % 5)
        depth = SHALLOWEST + (DEEPEST - SHALLOWEST) * number // (cells**2 - 1)
        grey = np.where((spot, scratch, patch)[number % 3], grey - depth, grey)
    return np.asarray(grey.clip(0, 255), np.uint8)[np.newaxis]


def golden_answer(probability: np.ndarray) -> str:
    """Return what config.pbtxt says of the answer: the rounded mean probability of each block, in hexadecimal.

    Shapes: (1, SIDE, SIDE) uint8.
    """
    return bytes(_block_means(probability).round().astype(np.uint8)).hex()


def deviation(probability: np.ndarray, stated: str) -> float:
    """Return the greatest difference of a block's mean from the stated one, in grey levels.

    Shapes: probability (1, SIDE, SIDE) uint8.
    Raises: ValueError, when `stated` is none that `golden_answer` writes.
    """
    expected = np.frombuffer(bytes.fromhex(stated), np.uint8).astype(float)
    means = _block_means(probability)
    if expected.shape != means.shape:
        raise ValueError(f"a golden answer has {means.size} means, this one {expected.size}")
    return float(abs(means - expected).max())


def _block_means(probability: np.ndarray) -> np.ndarray:
    """Return ((SIDE / BLOCK)²,) float64."""
    blocks = SIDE // BLOCK
    means: np.ndarray = probability.reshape(blocks, BLOCK, blocks, BLOCK).mean(axis=(1, 3)).ravel()
    return means
