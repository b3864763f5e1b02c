"""Two recipes on the same test images, with the interval of each difference over the same draws of tiles.

    python -m studies.paired studies/levers/without studies/tables

compares the folds that both folders have. Each fold has its own operating point, chosen on its validation part by the
rule of the stage evaluate. Test images decide here: use it to confirm a recipe that was fixed beforehand.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from studies.runs import HONEST
from tiles import DEFECT_TYPES
from training.errors import StudyError, exit_status
from training.evaluation.figures import Outcomes, bootstrap, interval, join, measure, outcomes_at
from training.evaluation.image_results import read_results
from training.evaluation.operating_point import choose_operating_point
from training.params import load_params
from training.reports.figure_words import COUNTS, flat, headline

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
    """Return each figure of both, and the 95 % interval of the difference over the same draws of tiles.

    outcomes: two, by their names, with the same images in the same order.
    """
    figures = {name: flat(measure(each)) for name, each in outcomes.items()}
    draws = [map(flat, bootstrap(each, samples=SAMPLES, seed=SEED)) for each in outcomes.values()]
    pairs = list(zip(*draws, strict=True))
    first = next(iter(figures.values()))
    return {
        name: {which: found[name] for which, found in figures.items()}
        | {"interval": interval([b[name] - a[name] for a, b in pairs if name in a])}
        for name in FIGURES
        if name in first
    }


def difference_rows(found: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return a row for each figure of `paired`: the first's, the second's, and their difference with its interval."""
    return [[(COUNTS | headline(DEFECT_TYPES))[name], *_row(name, figures)] for name, figures in found.items()]


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, str, str]:
    first, second = (value for which, value in figures.items() if which != "interval")
    digits = 0 if name in COUNTED else 4
    low, high = figures["interval"]
    difference = f"**{second - first:+.{digits}f}** ({low:+.{digits}f} to {high:+.{digits}f})"
    return f"{first:.{digits}f}", f"{second:.{digits}f}", difference


def _read(folders: Sequence[Path], false_alarm_rate: float) -> Outcomes:
    points = [choose_operating_point(read_results(folder / "validation.csv"), false_alarm_rate) for folder in folders]
    tables = [read_results(folder / "test.csv") for folder in folders]
    return join([outcomes_at(results, point) for results, point in zip(tables, points, strict=True)])


def compare(first: Path, second: Path) -> list[list[str]]:
    """Compare the folds that both folders have.

    Raises: StudyError, when there is none, or when the folds have other images.
    """
    folds = [{path.parent.name for path in folder.glob(f"{HONEST}*/test.csv")} for folder in (first, second)]
    if not (both := sorted(set.intersection(*folds))):
        raise StudyError(f"{first} and {second} have no fold in common: name folders with {HONEST}<k>/test.csv")
    rate = load_params().evaluate.false_alarm_rate
    outcomes = {str(folder): _read([folder / name for name in both], rate) for folder in (first, second)}
    if len({tuple(each.name) for each in outcomes.values()}) > 1:
        raise StudyError(f"{first} and {second} have other test images: both must be of one split")
    return difference_rows(paired(outcomes))


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m studies.paired", description=__doc__)
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, help=f"a folder with {HONEST}<k>/test.csv and validation.csv")
    wanted = parser.parse_args()
    header = ["figure", str(wanted.first), str(wanted.second), "difference (95 %)"]
    print(tabulate(compare(wanted.first, wanted.second), header, tablefmt="pipe", disable_numparse=True))  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
