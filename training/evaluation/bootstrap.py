"""Intervals of figures: they are measured on many sets of tiles that are drawn at random."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from training.dataset.index import FREE
from training.evaluation.figures import Outcomes, measure, types_of

INTERVAL = (2.5, 97.5)  # percentiles of the bootstrap
OF_FOUND = ("type_right_of_found", "type_macro_f1")  # measured on the defective images that are found
OF_DEFECTIVE = ("dice_pooled", "iou_pooled", "dice_image_mean", "dice_type_mean", *OF_FOUND)


def bootstrap(
    outcomes: Outcomes, *, samples: int, seed: int, figures: Callable[[Outcomes], dict[str, Any]] = measure
) -> list[dict[str, Any]]:
    """Measure `samples` sets of tiles, each as large as the original, drawn with replacement.

    A set that lacks what a figure is measured on has no such figure: no Dice without a defective image, no mean of
    types without one of the types. figures: what is measured of each set.
    Source: Efron & Tibshirani 1993.
    """
    names, index = np.unique(outcomes.tile, return_inverse=True)
    images = [np.flatnonzero(index == tile) for tile in range(len(names))]
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(names), size=(samples, len(names)))
    sets = (outcomes.take(np.concatenate([images[tile] for tile in draw])) for draw in draws)
    types = types_of(outcomes)
    return [_without(_lacking(drawn, types), figures(drawn)) for drawn in sets]


def _lacking(drawn: Outcomes, types: Sequence[str]) -> set[str]:
    """Name the figures of `measure` that a set of tiles has nothing for. types: of the whole part."""
    return {
        *(() if drawn.defective.any() else OF_DEFECTIVE),
        *(() if (drawn.true_positive > 0).any() else OF_FOUND),
        *(() if types_of(drawn) == list(types) else ["dice_type_mean"]),
        *(() if (drawn.defect_type == FREE).any() else ["free"]),
    }


def _without(names: set[str], figures: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name not in names}


def of_one_tile(outcomes: Outcomes) -> set[str]:
    """Name the figures that one defective tile decides, or none does: they have no interval.

    Each draw has the same tile or none. A type's is `dice_by_type.<type>`; then the mean of types is one, too. Where
    one tile alone is defective, all figures of defective images are.
    """
    shown = {name: outcomes.tile[outcomes.defective & (outcomes.defect_type == name)] for name in types_of(outcomes)}
    alone = {f"dice_by_type.{name}" for name, tiles in shown.items() if len(np.unique(tiles)) <= 1}
    if len(np.unique(outcomes.tile[outcomes.defective])) == 1:
        alone |= set(OF_DEFECTIVE)
    return alone | ({"dice_type_mean"} if alone else set())


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the bounds of the 95 % interval."""
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)
