"""Figures of a set of images at an operating point, and their intervals. Every reported figure is computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import compress
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from tiles.operating_point import OperatingPoint
from training.index import FREE
from training.metrics import confusion_at
from training.results import THRESHOLDS, Result

LARGE_FALSE_ALARM = 20  # pixels: the second of the two stated false-alarm rules
USUAL_THRESHOLD = 64  # of 255, where the validation tiles don't tell it from the best
INTERVAL = (2.5, 97.5)  # percentiles of the bootstrap


@dataclass(frozen=True)
class Outcomes:
    """What an operating point makes of each image: arrays of one length, an entry an image.

    Attributes:
        tile, kind: str, the kind by the published folder, `Free` included.
        true_positive, false_positive, false_negative: pixels.
        found_type: str, the type that most predicted pixels have, empty where none is predicted.
        score: 0–1.
    """

    image: np.ndarray
    tile: np.ndarray
    kind: np.ndarray
    true_positive: np.ndarray
    false_positive: np.ndarray
    false_negative: np.ndarray
    found_type: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    @property
    def defective(self) -> np.ndarray:
        """Whether the true mask holds a pixel."""
        return np.asarray(self.true_positive + self.false_negative > 0)

    @property
    def predicted(self) -> np.ndarray:
        """Number of predicted pixels."""
        return np.asarray(self.true_positive + self.false_positive)

    def take(self, chosen: np.ndarray) -> "Outcomes":
        """Return some of the images, by index (repeated ones count again) or by a mask."""
        return Outcomes(*(getattr(self, field.name)[chosen] for field in fields(self)))


def outcomes_at(results: Sequence[Result], point: OperatingPoint) -> Outcomes:
    """Apply an operating point."""
    rows = [_outcome(result, point) for result in results]
    return Outcomes(*(np.array(column) for column in zip(*rows, strict=True)))


def _outcome(result: Result, point: OperatingPoint) -> tuple[str, str, str, int, int, int, str, float]:
    names = (result.image, result.tile, result.kind)
    if result.score < point.alarm_score:
        return *names, 0, 0, int(result.counts.defect.sum()), "", result.score
    found_type = ("", *result.names)[result.types[point.threshold]]
    return *names, *confusion_at(result.counts, point.threshold), found_type, result.score


def join(parts: Sequence[Outcomes]) -> Outcomes:
    """Put the images of several folds together, each with its own fold's operating point."""
    return Outcomes(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Outcomes)))


def choose_operating_point(results: Sequence[Result], false_alarm_rate: float) -> OperatingPoint:
    """Choose on validation images: the lowest alarm score within the false-alarm rate, then the threshold.

    This one has the best mean of types, as pooled over all of them one large Uneven spot would choose. But a few tiles
    hardly tell a threshold from the next: of those within one standard error of the best, the one nearest to
    `USUAL_THRESHOLD` is taken (docs/decisions/7).

    false_alarm_rate: share of the Free images that may raise an alarm, 0–1.
    """
    alarm_score = _alarm_score([result.score for result in results if result.kind == FREE], false_alarm_rate)
    points = [OperatingPoint(threshold, alarm_score) for threshold in THRESHOLDS]
    defects = [result for result in results if result.kind != FREE]
    near = _near_the_best([outcomes_at(defects, point) for point in points]) if defects else [True] * len(points)
    return min(compress(points, near), key=lambda point: abs(point.threshold - USUAL_THRESHOLD))


def _near_the_best(parts: Sequence[Outcomes]) -> np.ndarray:
    """Return which parts' mean of types is within one standard error of the best, by the jackknife over tiles.

    parts: the same images at several operating points; the error is that of the difference between two of them.
    Source: Efron & Tibshirani 1993, chapter 11 (jackknife); Breiman et al. 1984 (the rule of one standard error).
    """
    names = parts[0].tile
    tiles = np.unique(names)
    without = np.array([[_type_mean(part.take(names != tile)) for part in parts] for tile in tiles])
    means = np.array([_type_mean(part) for part in parts])
    best = means.argmax()
    behind = without[:, [best]] - without  # (tiles, parts)
    error = np.sqrt((len(tiles) - 1) * behind.var(axis=0))
    return np.asarray(means[best] - means <= error)


def _type_mean(outcomes: Outcomes) -> float:
    return mean_of_types(dice_by_type(outcomes))


def _alarm_score(free: Sequence[float], rate: float) -> float:
    """Return the lowest score, in steps of 0.0001, that at most this share of the scores reaches."""
    allowed = int(rate * len(free))
    below = sorted(free, reverse=True)[allowed:]
    return min(round(below[0] + 0.0001, 4), 1.0) if below else 0.0


def dice_pooled(outcomes: Outcomes) -> float:
    """Return the Dice of all images' pixels together: 2 TP / (2 TP + FP + FN); 1 where there are none of them."""
    twice = 2 * int(outcomes.true_positive.sum())
    total = twice + int(outcomes.false_positive.sum() + outcomes.false_negative.sum())
    return twice / total if total else 1.0


def dice_by_type(outcomes: Outcomes) -> dict[str, float]:
    """Return the pooled Dice of each type's images, of the types that are there."""
    return {kind: dice_pooled(outcomes.take(outcomes.kind == kind)) for kind in types_of(outcomes)}


def types_of(outcomes: Outcomes) -> list[str]:
    """Return the defect types that are there, in the alphabet's order."""
    return sorted({str(kind) for kind in outcomes.kind} - {FREE})


def mean_of_types(types: Mapping[str, float]) -> float:
    """Return the macro mean; 1 where there is no type."""
    return float(np.mean(list(types.values()))) if types else 1.0


def dice_each(outcomes: Outcomes) -> np.ndarray:
    """Return the Dice of each image; 1 where truth and prediction are both empty."""
    twice = 2 * outcomes.true_positive
    total = twice + outcomes.false_positive + outcomes.false_negative
    return np.where(total > 0, twice / np.maximum(total, 1), 1.0)


def iou_of(dice: float) -> float:
    """Return TP / (TP + FP + FN) of the same pixels."""
    return dice / (2 - dice)


def measure(outcomes: Outcomes) -> dict[str, Any]:
    """Return the figures of a part; shares and scores are 0–1."""
    defective = outcomes.take(outcomes.defective)
    pooled, with_free = dice_pooled(defective), dice_pooled(outcomes)
    types = dice_by_type(outcomes)
    return {
        "images": len(outcomes),
        "tiles": len(np.unique(outcomes.tile)),
        "defective_images": len(defective),
        "dice_pooled": pooled,
        "iou_pooled": iou_of(pooled),
        "dice_pooled_with_free": with_free,
        "iou_pooled_with_free": iou_of(with_free),
        "dice_image_mean": float(dice_each(defective).mean()) if len(defective) else 1.0,
        "dice_by_type": types,
        "dice_type_mean": mean_of_types(types),
        **type_figures(defective),
        **image_level(outcomes),
        "free": false_alarms(outcomes.take(outcomes.kind == FREE)),
    }


def type_figures(defective: Outcomes) -> dict[str, float]:
    """Return how many defective images are found, and how right their types are. Macro-F1 is over the types there."""
    found = defective.take(defective.true_positive > 0)
    kinds = np.unique(found.kind)
    pairs = (found.kind, found.found_type)
    macro_f1 = f1_score(*pairs, labels=kinds, average="macro", zero_division=0) if len(found) else 0.0
    return {
        "found_images": len(found),
        "type_right_of_found": float((found.found_type == found.kind).mean()) if len(found) else 0.0,
        "type_macro_f1": float(macro_f1),
    }


def image_level(outcomes: Outcomes) -> dict[str, float]:
    """Return area under the ROC curve and average precision of the images' scores; nothing where all are alike."""
    if outcomes.defective.all() or not outcomes.defective.any():
        return {}
    return {
        "auroc": float(roc_auc_score(outcomes.defective, outcomes.score)),
        "average_precision": float(average_precision_score(outcomes.defective, outcomes.score)),
    }


def false_alarms(free: Outcomes) -> dict[str, float]:
    """Return how many of the Free images show any predicted pixel, and how many more than LARGE_FALSE_ALARM."""
    alarms = {
        "any_pixel": int((free.predicted > 0).sum()),
        f"over_{LARGE_FALSE_ALARM}_px": int((free.predicted > LARGE_FALSE_ALARM).sum()),
    }
    shares = {f"{name}_share": value / max(1, len(free)) for name, value in alarms.items()}
    return {"images": len(free), **alarms, **shares}


def bootstrap(outcomes: Outcomes, *, samples: int, seed: int) -> list[dict[str, Any]]:
    """Measure `samples` sets of as many tiles, drawn with replacement. Source: Efron & Tibshirani 1993."""
    names, index = np.unique(outcomes.tile, return_inverse=True)
    images = [np.flatnonzero(index == tile) for tile in range(len(names))]
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(names), size=(samples, len(names)))
    return [measure(outcomes.take(np.concatenate([images[tile] for tile in draw]))) for draw in draws]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the bounds of the 95 % interval."""
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)
