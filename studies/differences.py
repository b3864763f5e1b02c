"""Two results on the same images, figure by figure; the interval of a difference is over the same draws of tiles."""

from collections.abc import Mapping
from typing import Any

from tiles import DEFECT_TYPES
from training.evaluation.differences import differences
from training.evaluation.figures import Outcomes, measure
from training.evaluation.flat import flat
from training.reports.figure_words import COUNTS, headline

COUNTED = ("found_images", "free.any_pixel")
FIGURES = (
    "dice_pooled",
    "dice_image_mean",
    *(f"dice_by_type.{name}" for name in DEFECT_TYPES),
    "dice_type_mean",
    "auroc",
    "average_precision",
    "type_right_of_found",
    *COUNTED,
)
SAMPLES, SEED = 1000, 20


def paired(outcomes: Mapping[str, Outcomes]) -> dict[str, dict[str, Any]]:
    """Return each figure of both, and the 95 % interval of the second's difference from the first's.

    The interval is None where one tile alone decides the figure, or no draw shows it. outcomes: two, by their names,
    with the same images and masks.
    """
    figures = {name: flat(measure(each)) for name, each in outcomes.items()}
    (bounds,) = differences(outcomes, FIGURES, samples=SAMPLES, seed=SEED).values()
    return {
        name: {which: found[name] for which, found in figures.items()} | {"interval": bounds.get(name)}
        for name in FIGURES
        if name in next(iter(figures.values()))
    }


def difference_rows(found: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return a row for each figure of `paired`: the first's, the second's, and their difference with its interval."""
    return [[(COUNTS | headline(DEFECT_TYPES))[name], *_row(name, figures)] for name, figures in found.items()]


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, str, str]:
    first, second = (value for which, value in figures.items() if which != "interval")
    digits = 0 if name in COUNTED else 4
    within = (
        " ({:+.{digits}f} to {:+.{digits}f})".format(*figures["interval"], digits=digits) if figures["interval"] else ""
    )
    return f"{first:.{digits}f}", f"{second:.{digits}f}", f"**{second - first:+.{digits}f}**{within}"
