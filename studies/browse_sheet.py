"""The sheet that `browse` draws: one row for each image, with image, published mask and contour of the found mask.

It does not know how the images were chosen.
"""

import numpy as np
from PIL import Image

from tiles.operating_point import OperatingPoint
from tiles.pictures import side_by_side
from training.evaluation.predict import Prediction

LINE = 2  # pixels: visible when a screen shows the sheet at half its size


def contour(mask: np.ndarray) -> np.ndarray:
    """Return a line around the masked pixels that covers none of them. Shapes: (H, W) bool → (H, W) bool."""
    grown = mask
    for _ in range(LINE):
        padded = np.pad(grown, 1)
        grown = grown | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return np.asarray(grown & ~mask)


def picture(prediction: Prediction, point: OperatingPoint, found: str) -> Image.Image:
    """Draw one row. found: the prediction's caption."""
    sample = prediction.sample
    truth = f"published: {sample.entry.defect_type}, {int(sample.mask.sum())} px"
    captions = [f"{sample.entry.name}, tile {sample.entry.tile}", truth, f"found: {found}"]
    return side_by_side(sample.image, sample.mask, contour(point.mask(prediction.probability)), captions)
