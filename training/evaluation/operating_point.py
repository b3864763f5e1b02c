"""The operating point and the limits of the verdicts, chosen on validation images.

docs/decisions/7-operating-point.md gives the reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from tiles.operating_point import OperatingPoint, tile_score
from training.dataset.index import FREE
from training.evaluation.figures import Outcomes, dice_by_type, mean_of_types, outcomes_at
from training.evaluation.image_results import THRESHOLDS, Result
from training.params import EvaluateParams

USUAL_THRESHOLD = 64  # of 255: used if the validation tiles cannot distinguish it from the best


@dataclass(frozen=True)
class Limits:
    """Which scores mean what, 0–1.

    Attributes:
        alarm_score: from this score on an image or a tile is defective.
        review_score: from this score on, and below the alarm score, a person should look; None: nobody should.
    """

    alarm_score: float
    review_score: float | None


@dataclass(frozen=True)
class Chosen:
    """What is chosen on the validation part: an image's operating point and review score, and the limits of a tile."""

    point: OperatingPoint
    review_score: float | None
    of_tiles: Limits

    @property
    def of_images(self) -> Limits:
        """The limits of an image."""
        return Limits(self.point.alarm_score, self.review_score)


def choose(results: Sequence[Result], params: EvaluateParams) -> Chosen:
    """Choose everything that the verdicts need, on the results of the validation images.

    Where every tile has a defect, tiles are judged by the limits of images.
    """
    point = choose_operating_point(results, params.false_alarm_rate)
    of_images = choose_limits(_free_scores(results), params)
    sound = sound_tile_scores(results)
    return Chosen(point, of_images.review_score, choose_limits(sound, params) if sound else of_images)


def choose_limits(sound: Sequence[float], params: EvaluateParams) -> Limits:
    """Choose the limits by the scores of what has no defect: of Free images, or of tiles with Free images only.

    Each limit is the lowest that at most its share of them reaches: `false_alarm_rate`, `review_rate`.
    """
    alarm_score = _lowest_within(params.false_alarm_rate, sound)
    if params.review_rate is None:
        return Limits(alarm_score, None)
    review_score = _lowest_within(params.review_rate, sound)
    return Limits(alarm_score, review_score if review_score < alarm_score else None)


def sound_tile_scores(results: Sequence[Result]) -> list[float]:
    """Return the score of each tile that has Free images only: the mean of its images' scores."""
    tiles = {result.tile for result in results} - {result.tile for result in results if result.defect_type != FREE}
    return [tile_score([result.score for result in results if result.tile == tile]) for tile in sorted(tiles)]


def _free_scores(results: Sequence[Result]) -> list[float]:
    return [result.score for result in results if result.defect_type == FREE]


def choose_operating_point(results: Sequence[Result], false_alarm_rate: float) -> OperatingPoint:
    """Choose on validation images: the lowest alarm score within the false-alarm rate, then the threshold.

    The threshold is judged by the mean of types, because one large Uneven spot would decide a Dice pooled over all
    pixels. Few tiles hardly distinguish neighbouring thresholds. So of the thresholds within one standard error of the
    best, the one nearest to `USUAL_THRESHOLD` is chosen.

    false_alarm_rate: share of the Free images that may raise an alarm, 0–1.
    """
    alarm_score = _lowest_within(false_alarm_rate, _free_scores(results))
    points = [OperatingPoint(threshold, alarm_score) for threshold in THRESHOLDS]
    defects = [result for result in results if result.defect_type != FREE]
    near = _near_the_best([outcomes_at(defects, point) for point in points]) if defects else [True] * len(points)
    return min(compress(points, near), key=lambda point: abs(point.threshold - USUAL_THRESHOLD))


def beyond_the_rate(results: Sequence[Result], alarm_score: float, false_alarm_rate: float) -> str:
    """Say that more of the Free images raise an alarm than the rate allows; empty if they do not.

    results: of the validation images, on which the alarm score was chosen.
    """
    free = _free_scores(results)
    alarms = sum(score >= alarm_score for score in free)
    if alarms <= false_alarm_rate * len(free):
        return ""
    return (
        f"{alarms} of {len(free)} Free validation images have the highest score, 1, so no alarm score keeps to "
        "evaluate.false_alarm_rate: look at them with `python -m studies.browse --part validation --false-alarms`; a "
        "label may be wrong"
    )


def _near_the_best(parts: Sequence[Outcomes]) -> np.ndarray:
    """For each operating point, say whether its mean of types is within one standard error of the best.

    parts: the same images at several operating points. The error is that of the difference between two of them, by the
    jackknife over tiles. One tile has no such error and distinguishes none of the points: all are near.
    Source: Efron & Tibshirani 1993, chapter 11 (jackknife); Breiman et al. 1984 (the rule of one standard error).
    """
    names = parts[0].tile
    tiles = np.unique(names)
    if len(tiles) == 1:
        return np.ones(len(parts), bool)
    # (tiles, parts): each part's figure without each tile
    without = np.array([[_type_mean(part.take(names != tile)) for part in parts] for tile in tiles])
    means = np.array([_type_mean(part) for part in parts])  # (parts,)
    best = means.argmax()
    behind = without[:, [best]] - without  # (tiles, parts)
    error = np.sqrt((len(tiles) - 1) * behind.var(axis=0))
    return np.asarray(means[best] - means <= error)


def _type_mean(outcomes: Outcomes) -> float:
    return mean_of_types(dice_by_type(outcomes))


def _lowest_within(rate: float, sound: Sequence[float]) -> float:
    """Return the lowest limit that at most this share of the scores reaches, a multiple of 0.0001.

    It is 1 where a larger share has the highest score: then no limit keeps to the rate.
    """
    allowed = int(rate * len(sound))
    below = sorted(sound, reverse=True)[allowed:]
    return min(round(below[0] + 0.0001, 4), 1.0) if below else 0.0
