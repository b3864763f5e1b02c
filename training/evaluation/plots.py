"""The plots of `dvc plots show`: tables for DVC's own templates, and sheets of pictures."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from host.files import write_table
from tiles.operating_point import OperatingPoint
from tiles.pictures import side_by_side
from training.dataset.index import FREE
from training.evaluation.counts import LEVELS, Counts, pool, precision_recall
from training.evaluation.predict import Prediction

RELIABILITY_BINS = 16  # of equal width


def write_precision_recall(counts: Sequence[Counts], path: Path) -> None:
    """Write threshold, precision and recall of the pixels pooled over all images."""
    rows = [
        {"threshold": threshold, "precision": round(precision, 5), "recall": round(recall, 5)}
        for threshold, precision, recall in precision_recall(counts)
    ]
    write_table(path, rows)


def write_reliability(counts: Sequence[Counts], path: Path) -> None:
    """Write the reliability diagram: the share of defective pixels among pixels of similar probability."""
    pooled, width = pool(counts), LEVELS // RELIABILITY_BINS
    levels = np.arange(LEVELS)
    rows = []
    for first in range(0, LEVELS, width):
        defect, sound = pooled.defect[first : first + width], pooled.sound[first : first + width]
        if pixels := int((defect + sound).sum()):
            mean = float(((defect + sound) * levels[first : first + width]).sum()) / pixels / (LEVELS - 1)
            rows.append(
                {"probability": round(mean, 4), "defective": round(int(defect.sum()) / pixels, 4), "pixels": pixels}
            )
    write_table(path, rows)


def write_confusion(pairs: Iterable[tuple[str, str]], path: Path) -> None:
    """Write actual and predicted type of each image; `Free` is predicted if no pixel is found."""
    write_table(path, [{"actual": actual, "predicted": found or FREE} for actual, found in pairs])


def write_gallery(
    worst_first: Sequence[tuple[Prediction, float]], point: OperatingPoint, rows: int, folder: Path
) -> None:
    """Draw the best, median and worst predictions with their Dice, one in each row: image, truth, prediction."""
    folder.mkdir(exist_ok=True)
    middle = max(0, (len(worst_first) - rows) // 2)
    chosen = {
        "worst": worst_first[:rows],
        "median": worst_first[middle : middle + rows],
        "best": worst_first[-rows:],
    }
    for name, pairs in chosen.items():
        if pairs:
            stack([_picture(prediction, dice, point) for prediction, dice in pairs]).save(folder / f"{name}.png")


def _picture(prediction: Prediction, dice: float, point: OperatingPoint) -> Image.Image:
    sample = prediction.sample
    captions = [sample.entry.name, f"truth: {sample.entry.defect_type}", f"Dice {dice:.2f}"]
    return side_by_side(sample.image, sample.mask, point.mask(prediction.probability), captions)


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures below each other."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
