"""The robustness tables, as rows and curves for the reports."""

import csv
from collections.abc import Mapping, Sequence

from training.errors import EvaluationError
from training.evaluation.perturbations import PERTURBATIONS
from training.files import ROBUSTNESS_FOLDER

Curves = Mapping[str, Sequence[Mapping[str, str]]]  # {perturbation: the rows of its table}


def read_curves() -> Curves:
    """Return the rows of each perturbation's table.

    Raises: EvaluationError, when one is missing.
    """
    return {name: _read_curve(name) for name in PERTURBATIONS}


def _read_curve(name: str) -> list[dict[str, str]]:
    path = ROBUSTNESS_FOLDER / f"{name}.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise EvaluationError(f"{path} is missing: run `dvc repro robustness`, or `git checkout` it") from None


def robustness_rows(curves: Curves) -> list[list[str]]:
    """Return one row for each perturbation and level: Dice, mean of types, found, false alarms."""
    return [
        [PERTURBATIONS[name].words, level_text(name, row["level"]), *_figures(row)]
        for name, curve in curves.items()
        for row in curve
    ]


def level_text(name: str, level: str) -> str:
    """Return a level's text for the reports."""
    return "unchanged" if float(level) == PERTURBATIONS[name].neutral else level


def _figures(row: Mapping[str, str]) -> list[str]:
    dice = [f"{float(row[name]):.3f}" for name in ("dice_pooled", "dice_type_mean")]
    shares = [row.get(name) for name in ("found_share", "false_alarm_share")]  # the second only where images are sound
    return [*dice, *("–" if share is None else f"{float(share):.1%}" for share in shares)]
