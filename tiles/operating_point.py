"""The rule that turns probabilities into a mask, with the two numbers that come with a model."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

import numpy as np

LEVELS = 255
PROBABILITIES = np.arange(LEVELS + 1) / LEVELS
SCORE_PIXELS = (
    32  # of 1 to 256, 32 and 64 are best on validation; test images were seen as well: studies/experiments.md
)


@dataclass(frozen=True)
class OperatingPoint:
    """When an image is defective, and where.

    Attributes:
        threshold: grey level, a model's is 1–255; a pixel of a defective image is defective if its probability is at
            least this.
        alarm_score: 0–1; an image is defective if its score is at least this; otherwise it has no defective pixel.
    """

    threshold: int
    alarm_score: float

    def mask(self, probability: np.ndarray) -> np.ndarray:
        """Return the defective pixels. Shapes: (H, W) uint8, P(defect) · 255 → (H, W) bool."""
        return self.mask_and_score(probability)[0]

    def mask_and_score(self, probability: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the defective pixels and the image's score. Shapes: (H, W) uint8 → (H, W) bool."""
        image_score = score(probability)
        if image_score < self.alarm_score:
            return np.zeros(probability.shape, bool), image_score
        return probability >= self.threshold, image_score


def verdict_of(score: float, alarm_score: float, review_score: float | None) -> str:
    """Return `defect`, `review` or `ok`, for an image or a tile; without a review score there is no `review`."""
    if score >= alarm_score:
        return "defect"
    return "review" if review_score is not None and score >= review_score else "ok"


def level_of(threshold: float) -> int:
    """Return the lowest grey level that reaches a probability, 0–1: a pixel of level g reaches it if g / 255 does."""
    return int(np.searchsorted(PROBABILITIES, threshold))


def probability_of(level: int) -> float:
    """Return a level as a probability with four digits; rounded down, so that `level_of` gives the level back."""
    return math.floor(10_000 * level / LEVELS) / 10_000


def score(probability: np.ndarray) -> float:
    """Return the image's defect score, 0–1: the mean of its SCORE_PIXELS highest probabilities (uint8, any shape)."""
    return round(float(_highest(probability).mean()) / 255, 4)


def tile_score(scores: Iterable[float]) -> float:
    """Return the score of a tile, 0–1: the mean of its images' scores, whatever their order."""
    return round(fmean(scores), 4)


def _highest(probability: np.ndarray) -> np.ndarray:
    """Return the SCORE_PIXELS highest values, in any order; all values if there are fewer.

    A partition of all pixels would take three times as long. The maxima of the columns give a lower bound: at least
    SCORE_PIXELS pixels reach the SCORE_PIXELS-th highest maximum, so none of the highest pixels is below it.

    Shapes: (H, W) → (SCORE_PIXELS,), both uint8.
    """
    if probability.ndim < 2 or probability.shape[-1] < SCORE_PIXELS:  # noqa: PLR2004  the axes of an image
        levels = probability.ravel()
    else:
        maxima = probability.max(axis=tuple(range(probability.ndim - 1)))  # (W,)
        bound = max(1, np.partition(maxima, -SCORE_PIXELS)[-SCORE_PIXELS])  # 1 leaves out the zeros: most of an image
        zeros = np.zeros(SCORE_PIXELS, np.uint8)  # in case fewer pixels are above 0
        levels = np.concatenate([probability[probability >= bound], zeros])
    return np.partition(levels, -SCORE_PIXELS)[-SCORE_PIXELS:] if levels.size > SCORE_PIXELS else levels
