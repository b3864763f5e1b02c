"""Counts of one image, and named reductions over the counts of several.

An image's counts are two histograms of the served probability (0–255), over its defective and its sound pixels. They
give the counts for every threshold: a pixel is predicted defective if probability >= threshold, 1–255.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.predict import Prediction

LEVELS = 256
THRESHOLDS = range(1, LEVELS)


@dataclass(frozen=True)
class Counts:
    """defect, sound: (256,) int64, the number of true defect and true sound pixels at each probability."""

    defect: np.ndarray
    sound: np.ndarray


def count(prediction: Prediction) -> Counts:
    """Count one image."""
    mask = prediction.sample.mask
    defect, sound = (np.bincount(prediction.probability[where], minlength=LEVELS) for where in (mask, ~mask))
    return Counts(defect, sound)


def pool(counts: Sequence[Counts]) -> Counts:
    """Add the counts of several images."""
    zero = np.zeros(LEVELS, np.int64)
    return Counts(sum((c.defect for c in counts), zero), sum((c.sound for c in counts), zero))


def confusion_at(counts: Counts, threshold: int) -> tuple[int, int, int]:
    """Return (true positive, false positive, false negative) pixels."""
    true_positive = int(counts.defect[threshold:].sum())
    return true_positive, int(counts.sound[threshold:].sum()), int(counts.defect[:threshold].sum())


def dice(counts: Counts, threshold: int) -> float:
    """Return 2 TP / (2 TP + FP + FN); 1 if truth and prediction are both empty."""
    tp, fp, fn = confusion_at(counts, threshold)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0


def dice_pooled(counts: Sequence[Counts], threshold: int) -> float:
    """Return the Dice of all images' pixels together."""
    return dice(pool(counts), threshold)


def dice_image_mean(counts: Sequence[Counts], threshold: int) -> float:
    """Return the mean over images of each one's Dice."""
    return float(np.mean([dice(c, threshold) for c in counts]))


def best_threshold(counts: Sequence[Counts]) -> int:
    """Return the threshold of the highest Dice pooled over all these images, images without a defect included."""
    pooled = pool(counts)
    return max(THRESHOLDS, key=lambda threshold: dice(pooled, threshold))


def precision_recall(counts: Sequence[Counts]) -> list[tuple[int, float, float]]:
    """Return (threshold, precision, recall) of the pixels pooled over images; precision is 1 if nothing is found."""
    pooled = pool(counts)
    rows = []
    for threshold in THRESHOLDS:
        tp, fp, fn = confusion_at(pooled, threshold)
        rows.append((threshold, tp / (tp + fp) if tp + fp else 1.0, tp / (tp + fn) if tp + fn else 1.0))
    return rows
