"""Figures of a set of images at an operating point: every reported figure of images is computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from tiles.operating_point import OperatingPoint
from training.dataset.index import FREE
from training.evaluation.counts import confusion_at
from training.evaluation.image_results import Result

LARGE_FALSE_ALARM = 20  # pixels: a second count has only the false alarms that are larger


@dataclass(frozen=True)
class Outcomes:
    """What is found in each image at an operating point: arrays of shape (images,).

    Attributes:
        name: str, the image's name.
        tile: str, the tile that it shows.
        defect_type: str, the type given by the image's folder, or Free.
        true_positive, false_positive, false_negative: int, numbers of pixels.
        found_type: str, the type that most predicted pixels have, empty if no pixel is predicted.
        score: float, the image's score, 0–1.
    """

    name: np.ndarray
    tile: np.ndarray
    defect_type: np.ndarray
    true_positive: np.ndarray
    false_positive: np.ndarray
    false_negative: np.ndarray
    found_type: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.name)

    @property
    def defective(self) -> np.ndarray:
        """Whether the true mask has a defective pixel."""
        return np.asarray(self.true_positive + self.false_negative > 0)

    @property
    def predicted(self) -> np.ndarray:
        """Number of predicted pixels."""
        return np.asarray(self.true_positive + self.false_positive)

    @property
    def truth(self) -> list[tuple[Any, ...]]:
        """Each image's name, tile, type and number of truly defective pixels."""
        columns = (self.name, self.tile, self.defect_type, self.true_positive + self.false_negative)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def take(self, chosen: np.ndarray) -> "Outcomes":
        """Return some of the images, by index (repeated ones count again) or by a mask."""
        return Outcomes(*(getattr(self, field.name)[chosen] for field in fields(self)))


def outcomes_at(results: Sequence[Result], point: OperatingPoint) -> Outcomes:
    """Apply an operating point."""
    rows = [_outcome(result, point) for result in results]
    return Outcomes(*(np.array(column) for column in zip(*rows, strict=True)))


def _outcome(result: Result, point: OperatingPoint) -> tuple[str, str, str, int, int, int, str, float]:
    names = (result.name, result.tile, result.defect_type)
    if result.score < point.alarm_score:
        return *names, 0, 0, int(result.counts.defect.sum()), "", result.score
    found_type = ("", *result.type_names)[result.types[point.threshold]]
    return *names, *confusion_at(result.counts, point.threshold), found_type, result.score


def join(parts: Sequence[Outcomes]) -> Outcomes:
    """Put the images of several folds together, each with its own fold's operating point."""
    return Outcomes(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Outcomes)))


def dice_pooled(outcomes: Outcomes) -> float:
    """Return the Dice of all images' pixels together: 2 TP / (2 TP + FP + FN); 1 if there are none."""
    twice = 2 * int(outcomes.true_positive.sum())
    total = twice + int(outcomes.false_positive.sum() + outcomes.false_negative.sum())
    return twice / total if total else 1.0


def dice_by_type(outcomes: Outcomes) -> dict[str, float]:
    """Return the pooled Dice of the images of each type that is present."""
    return {name: dice_pooled(outcomes.take(outcomes.defect_type == name)) for name in types_of(outcomes)}


def types_of(outcomes: Outcomes) -> list[str]:
    """Return the defect types that are present, in alphabetical order."""
    return sorted({str(name) for name in outcomes.defect_type} - {FREE})


def mean_of_types(types: Mapping[str, float]) -> float:
    """Return the mean over the types; 1 if there is no type."""
    return float(np.mean(list(types.values()))) if types else 1.0


def dice_each(outcomes: Outcomes) -> np.ndarray:
    """Return the Dice of each image; 1 if truth and prediction are both empty."""
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
        **_type_figures(defective),
        **_image_level(outcomes),
        "free": false_alarms(outcomes.take(outcomes.defect_type == FREE)),
    }


def _type_figures(defective: Outcomes) -> dict[str, float]:
    """Return how many defective images are found, and how often with the right type; macro-F1 is over these types."""
    found = defective.take(defective.true_positive > 0)
    types = np.unique(found.defect_type)
    pairs = (found.defect_type, found.found_type)
    macro_f1 = f1_score(*pairs, labels=types, average="macro", zero_division=0) if len(found) else 0.0
    return {
        "found_images": len(found),
        "type_right_of_found": float((found.found_type == found.defect_type).mean()) if len(found) else 0.0,
        "type_macro_f1": float(macro_f1),
    }


def _image_level(outcomes: Outcomes) -> dict[str, float]:
    """Return AUROC and average precision of the scores; nothing unless there are images with and without a defect."""
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
