"""The sheet that `training.inspect` draws: tile, published mask and the found one's contour, a row each.

Knows nothing of how the images were chosen.
"""

import numpy as np
from PIL import Image

from tiles.operating_point import OperatingPoint
from tiles.pictures import side_by_side
from training.predict import Prediction

LINE = 2  # pixels: seen on a sheet that a screen shows at half its size


def contour(mask: np.ndarray) -> np.ndarray:
    """Return a line around the masked pixels; none of them is under it. Shapes: (H, W) bool → (H, W) bool."""
    grown = mask
    for _ in range(LINE):
        padded = np.pad(grown, 1)
        grown = grown | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return np.asarray(grown & ~mask)


def picture(prediction: Prediction, point: OperatingPoint, found: str) -> Image.Image:
    """Draw one row. found: what the prediction is called."""
    sample = prediction.sample
    truth = f"published: {sample.entry.type}, {int(sample.mask.sum())} px"
    captions = [f"{sample.entry.image}, tile {sample.entry.tile}", truth, f"found: {found}"]
    return side_by_side(sample.tile, sample.mask, contour(point.mask(prediction.probability)), captions)
