"""The operating point, chosen on validation images: docs/decisions/7-operating-point.md gives the reasons."""

from collections.abc import Sequence
from itertools import compress

import numpy as np

from tiles.operating_point import OperatingPoint, tile_score
from training.dataset.index import FREE
from training.evaluation.figures import Outcomes, dice_by_type, mean_of_types, outcomes_at
from training.evaluation.image_results import THRESHOLDS, Result

USUAL_THRESHOLD = 64  # of 255: used if the validation tiles cannot distinguish it from the best


def choose_operating_point(results: Sequence[Result], false_alarm_rate: float) -> OperatingPoint:
    """Choose on validation images: the lowest alarm score within the false-alarm rate, then the threshold.

    The threshold is judged by the mean of types, because one large Uneven spot would decide a Dice pooled over all
    pixels. Few tiles hardly distinguish neighbouring thresholds. So of the thresholds within one standard error of the
    best, the one nearest to `USUAL_THRESHOLD` is chosen.

    false_alarm_rate: share of the Free images that may raise an alarm, 0–1.
    """
    alarm_score = _alarm_score([result.score for result in results if result.defect_type == FREE], false_alarm_rate)
    points = [OperatingPoint(threshold, alarm_score) for threshold in THRESHOLDS]
    defects = [result for result in results if result.defect_type != FREE]
    near = _near_the_best([outcomes_at(defects, point) for point in points]) if defects else [True] * len(points)
    return min(compress(points, near), key=lambda point: abs(point.threshold - USUAL_THRESHOLD))


def choose_tile_alarm_score(results: Sequence[Result], false_alarm_rate: float) -> float:
    """Choose on validation tiles: the lowest alarm score of a tile within the false-alarm rate.

    A tile's score is the mean score of its images. A tile without a defect is one with Free images only.

    false_alarm_rate: share of the tiles without a defect that may raise an alarm, 0–1.
    """
    tiles = {result.tile for result in results} - {result.tile for result in results if result.defect_type != FREE}
    scores = [tile_score([result.score for result in results if result.tile == tile]) for tile in tiles]
    return _alarm_score(scores, false_alarm_rate)


def _near_the_best(parts: Sequence[Outcomes]) -> np.ndarray:
    """For each operating point, say whether its mean of types is within one standard error of the best.

    parts: the same images at several operating points. The error is that of the difference between two of them, by the
    jackknife over tiles.
    Source: Efron & Tibshirani 1993, chapter 11 (jackknife); Breiman et al. 1984 (the rule of one standard error).
    """
    names = parts[0].tile
    tiles = np.unique(names)
    # (tiles, parts): each part's figure without each tile
    without = np.array([[_type_mean(part.take(names != tile)) for part in parts] for tile in tiles])
    means = np.array([_type_mean(part) for part in parts])  # (parts,)
    best = means.argmax()
    behind = without[:, [best]] - without  # (tiles, parts)
    error = np.sqrt((len(tiles) - 1) * behind.var(axis=0))
    return np.asarray(means[best] - means <= error)


def _type_mean(outcomes: Outcomes) -> float:
    return mean_of_types(dice_by_type(outcomes))


def _alarm_score(free: Sequence[float], rate: float) -> float:
    """Return the lowest alarm score for which at most this share of the Free images is a false alarm.

    free: the scores of the Free images. The result is a multiple of 0.0001.
    """
    allowed = int(rate * len(free))
    below = sorted(free, reverse=True)[allowed:]
    return min(round(below[0] + 0.0001, 4), 1.0) if below else 0.0
