"""The literature's ways to score, applied to predictions at native size; the report says how they still differ.

`centre_crop` and `stretched` convert a prediction to the size at which a publication counted pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from host.files import write_table
from tiles import DEFECT_TYPES, decode_mask
from tiles.operating_point import OperatingPoint
from training.dataset.archive import read_archive
from training.dataset.index import FREE
from training.evaluation.image_results import result_of, write_results
from training.evaluation.predict import Prediction
from training.params import DataLoadParams

CENTRE_CROP = 224  # pixels: iterative/magnetic-tiles-defect scales the shorter side to it and crops the centre
STRETCHED = 256  # pixels: devvv27/Segmentation-of-Damaged-Magnetic-Tiles resizes both sides to it
CLASSES = ("Background", *DEFECT_TYPES)


def centre_crop(prediction: Prediction) -> Prediction:
    """Scale the shorter side to 224 and crop the centre."""
    size = scaled_size(*prediction.probability.shape)
    scaled, window = _resized(prediction, *size), centre_window(*size)
    return _with(prediction, scaled.probability[window], scaled.defect_type[window], scaled.sample.mask[window])


def scaled_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width at which the shorter side is 224."""
    scale = CENTRE_CROP / min(height, width)
    return round(height * scale), round(width * scale)


def centre_window(height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of the centre's 224 × 224 pixels."""
    top, left = ((side - CENTRE_CROP) // 2 for side in (height, width))
    return slice(top, top + CENTRE_CROP), slice(left, left + CENTRE_CROP)


def stretched(prediction: Prediction) -> Prediction:
    """Resize both sides to 256."""
    return _resized(prediction, STRETCHED, STRETCHED)


def _resized(prediction: Prediction, height: int, width: int) -> Prediction:
    mask = resize(prediction.sample.mask.astype(np.uint8) * 255, height, width)
    return _with(
        prediction,
        resize(prediction.probability, height, width),
        resize(prediction.defect_type, height, width, Image.Resampling.NEAREST),
        mask > 127,  # noqa: PLR2004 - mostly covered
    )


def resize(array: np.ndarray, height: int, width: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
    """Resize as Pillow does, smoothly if it shrinks. Shapes: (H, W) uint8 → (height, width) uint8."""
    return np.asarray(Image.fromarray(array).resize((width, height), how))


def _with(prediction: Prediction, probability: np.ndarray, defect_type: np.ndarray, mask: np.ndarray) -> Prediction:
    return Prediction(replace(prediction.sample, mask=mask), probability, defect_type)


def write_centre_crop(predictions: Sequence[Prediction], params: DataLoadParams, folder: Path) -> None:
    """Write test_centre_crop.csv: only defective images, masks > 0."""
    masks = read_masks(params, above=0)
    defective = [with_mask(p, masks[p.sample.entry.name]) for p in predictions if p.sample.entry.defect_type != FREE]
    write_results([result_of(centre_crop(prediction)) for prediction in defective], folder / "test_centre_crop.csv")


def write_literature_tables(predictions: Sequence[Prediction], point: OperatingPoint, folder: Path) -> None:
    """Write test_stretched.csv and test_classes.csv."""
    write_results([result_of(stretched(prediction)) for prediction in predictions], folder / "test_stretched.csv")
    _write_classes(predictions, point, folder / "test_classes.csv")


def read_masks(params: DataLoadParams, *, above: int) -> Mapping[str, np.ndarray]:
    """Return {image: (H, W) bool} of the archive, with another mask threshold than data_load's."""
    members = read_archive(params).items()
    masks = {PurePosixPath(name).stem: content for name, content in members if name.endswith(".png")}
    return {image: decode_mask(content, above=above, max_pixels=params.max_pixels) for image, content in masks.items()}


def with_mask(prediction: Prediction, mask: np.ndarray) -> Prediction:
    """Return the prediction with another true mask. Shape: mask (H, W) bool."""
    return replace(prediction, sample=replace(prediction.sample, mask=mask))


def _write_classes(predictions: Sequence[Prediction], point: OperatingPoint, path: Path) -> None:
    """Write the confusion of all pixels: a row for each true class, a column for each predicted one."""
    confusion = sum(_class_confusion(prediction, point) for prediction in predictions)
    rows = [
        {"actual": name, **dict(zip(CLASSES, row.tolist(), strict=True))}
        for name, row in zip(CLASSES, np.asarray(confusion), strict=True)
    ]
    write_table(path, rows)


def _class_confusion(prediction: Prediction, point: OperatingPoint) -> np.ndarray:
    """Count one image's pixels by class. Shape: (6, 6) int64, true class by predicted class, 0 is background."""
    actual = prediction.sample.mask * prediction.sample.type_number  # (H, W)
    predicted = point.mask(prediction.probability) * prediction.defect_type  # (H, W), 0 is background
    pairs = np.bincount((actual * len(CLASSES) + predicted).ravel(), minlength=len(CLASSES) ** 2)  # (36,)
    return pairs.reshape(len(CLASSES), len(CLASSES))


def mean_iou(confusion: np.ndarray, *, with_background: bool) -> float:
    """Return the mean over classes of TP / (TP + FP + FN), pixels pooled over all images.

    Shape: confusion (6, 6), the sum of what `_class_confusion` returns.
    """
    right = np.diag(confusion)
    each = right / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1) - right, 1)
    return float(each[0 if with_background else 1 :].mean())
