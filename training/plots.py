"""What `dvc plots show` renders: tables for DVC's own templates, and sheets of pictures."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tiles.operating_point import OperatingPoint
from tiles.pictures import side_by_side
from training.index import FREE
from training.metrics import LEVELS, Counts, pool, precision_recall
from training.predict import Prediction

CALIBRATION_BINS = 16  # of equal width


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a CSV table with the first row's keys as its header."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_precision_recall(counts: Sequence[Counts], path: Path) -> None:
    """Write threshold, precision and recall of the pixels pooled over all images."""
    rows = [
        {"threshold": threshold, "precision": round(precision, 5), "recall": round(recall, 5)}
        for threshold, precision, recall in precision_recall(counts)
    ]
    write_rows(rows, path)


def write_calibration(counts: Sequence[Counts], path: Path) -> None:
    """Write, for pixels of about one probability, the share of them that are truly defective, and their number."""
    pooled, width = pool(counts), LEVELS // CALIBRATION_BINS
    levels = np.arange(LEVELS)
    rows = []
    for first in range(0, LEVELS, width):
        defect, sound = pooled.defect[first : first + width], pooled.sound[first : first + width]
        if pixels := int((defect + sound).sum()):
            mean = float(((defect + sound) * levels[first : first + width]).sum()) / pixels / (LEVELS - 1)
            rows.append(
                {"probability": round(mean, 4), "defective": round(int(defect.sum()) / pixels, 4), "pixels": pixels}
            )
    write_rows(rows, path)


def write_confusion(pairs: Iterable[tuple[str, str]], path: Path) -> None:
    """Write actual and predicted type of each image; `Free` is predicted where no pixel is found."""
    write_rows([{"actual": actual, "predicted": found or FREE} for actual, found in pairs], path)


def write_gallery(
    worst_first: Sequence[tuple[Prediction, float]], point: OperatingPoint, tiles: int, folder: Path
) -> None:
    """Draw the best, median and worst of the predictions with their Dice, a row each: image, truth, prediction."""
    folder.mkdir(exist_ok=True)
    middle = max(0, (len(worst_first) - tiles) // 2)
    chosen = {
        "worst": worst_first[:tiles],
        "median": worst_first[middle : middle + tiles],
        "best": worst_first[-tiles:],
    }
    for name, rows in chosen.items():
        if rows:
            stack([_picture(prediction, dice, point) for prediction, dice in rows]).save(folder / f"{name}.png")


def _picture(prediction: Prediction, dice: float, point: OperatingPoint) -> Image.Image:
    sample = prediction.sample
    captions = [sample.entry.image, f"truth: {sample.entry.type}", f"Dice {dice:.2f}"]
    return side_by_side(sample.tile, sample.mask, point.mask(prediction.probability), captions)


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures below each other."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
