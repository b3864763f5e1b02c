"""From probabilities to a mask, by the two numbers that come with a model; training and serving share it."""

from dataclasses import dataclass

import numpy as np

SCORE_PIXELS = 32  # of 1, 8, 16, 32, 64, 128, 256 the one that told validation images apart best (docs/experiments.md)


@dataclass(frozen=True)
class OperatingPoint:
    """When an image is defective, and where.

    Attributes:
        threshold: grey level 1–255; a pixel of a defective image is defective where its probability is at least this.
        alarm_score: 0–1; an image is defective where its score is at least this, and has no defective pixel otherwise.
    """

    threshold: int
    alarm_score: float

    def mask(self, probability: np.ndarray) -> np.ndarray:
        """Return the defective pixels. Shapes: (H, W) uint8, P(defect) · 255 → (H, W) bool."""
        if score(probability) < self.alarm_score:
            return np.zeros(probability.shape, bool)
        return probability >= self.threshold


def score(probability: np.ndarray) -> float:
    """Return the image's defect score, 0–1: the mean of its SCORE_PIXELS highest probabilities (uint8, any shape)."""
    levels = probability.ravel()
    if levels.size > SCORE_PIXELS:
        levels = np.partition(levels, levels.size - SCORE_PIXELS)[-SCORE_PIXELS:]
    return round(float(levels.mean()) / 255, 4)
