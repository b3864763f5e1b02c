"""The robustness tables, read and as text: curves in Mermaid, which GitHub draws, and one table with every figure."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.changes import CHANGES
from training.errors import EvaluationError
from training.markdown import table
from training.robustness import FOLDER

Curves = Mapping[str, Sequence[Mapping[str, str]]]  # {change: the rows of its table}


def read_curves() -> Curves:
    """Return the rows of each change's table.

    Raises: EvaluationError, when one is not there.
    """
    return {name: _read_curve(FOLDER / f"{name}.csv") for name in CHANGES}


def _read_curve(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise EvaluationError(f"{path} is missing: run `dvc repro robustness`, or `git checkout` it") from None


def curves_text(curves: Curves) -> str:
    """Return a chart for each change: pooled Dice and, second, the mean of the types' over the levels."""
    return "\n\n".join(_chart(name, rows) for name, rows in curves.items())


def _chart(name: str, rows: Sequence[Mapping[str, str]]) -> str:
    levels = ", ".join(f'"{_level(row["level"], CHANGES[name].neutral)}"' for row in rows)
    lines = [
        f"    line [{', '.join(f'{float(row[column]):.3f}' for row in rows)}]"
        for column in ("dice_pooled", "dice_type_mean")
    ]
    title = [f'    title "{CHANGES[name].words}"', f"    x-axis [{levels}]", '    y-axis "Dice" 0 --> 1']
    return "\n".join(["```mermaid", "xychart-beta", *title, *lines, "```"])


def table_text(curves: Curves) -> str:
    """Return one table of all changes and levels."""
    rows = [
        [CHANGES[name].words, _level(row["level"], CHANGES[name].neutral), *_figures(row)]
        for name, curve in curves.items()
        for row in curve
    ]
    return table(["change", "level", "Dice", "mean of types", "found", "false alarms"], rows)


def _level(level: str, neutral: float) -> str:
    return "unchanged" if float(level) == neutral else level


def _figures(row: Mapping[str, str]) -> list[str]:
    dice = [f"{float(row[name]):.3f}" for name in ("dice_pooled", "dice_type_mean")]
    return [*dice, *(f"{float(row[name]):.1%}" for name in ("found_share", "false_alarm_share"))]
