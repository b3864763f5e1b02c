"""What `dvc plots show` renders: tables for DVC's own templates, and sheets of pictures."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tiles import DEFECT_TYPES
from tiles.pictures import side_by_side
from training.data_load import FREE
from training.metrics import Counts, count, dice, precision_recall
from training.predict import Prediction


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


def write_confusion(pairs: Sequence[tuple[str, int]], path: Path) -> None:
    """Write actual and predicted type of each image; `Free` is predicted where no pixel is found."""
    names = (FREE, *DEFECT_TYPES)
    write_rows([{"actual": actual, "predicted": names[found]} for actual, found in pairs], path)


def write_gallery(worst_first: Sequence[Prediction], threshold: int, tiles: int, folder: Path) -> None:
    """Draw the best, median and worst predictions, a row each: image, truth, prediction."""
    folder.mkdir(exist_ok=True)
    middle = max(0, (len(worst_first) - tiles) // 2)
    chosen = {
        "worst": worst_first[:tiles],
        "median": worst_first[middle : middle + tiles],
        "best": worst_first[-tiles:],
    }
    for name, predictions in chosen.items():
        stack([_picture(prediction, threshold) for prediction in predictions]).save(folder / f"{name}.png")


def _picture(prediction: Prediction, threshold: int) -> Image.Image:
    sample = prediction.sample
    found = prediction.probability >= threshold
    captions = [sample.entry.image, f"truth: {sample.entry.type}", f"Dice {dice(count(prediction), threshold):.2f}"]
    return side_by_side(sample.tile, sample.mask, found, captions)


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures below each other."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
