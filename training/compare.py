"""Is an experiment better, or lucky? `python -m training.compare main grid-1 grid-2` compares them with the first.

Each revision (an experiment, a branch, a commit, or `workspace`) has its table of the validation images in git. Its
operating point is chosen there by the rule of the stage evaluate, so that the figures flatter all of them alike. The
test part is left alone: it is for the one that was chosen.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import dvc.api
from dvc.exceptions import DvcException

from training.columns import print_columns
from training.errors import EvaluationError, exit_status
from training.evaluate import FOLDER
from training.measure import Outcomes, bootstrap, choose_operating_point, interval, measure, outcomes_at
from training.params import load_params
from training.results import read_results

TABLE = FOLDER / "results_validation.csv"
WORKSPACE = "workspace"
FIGURES = {"dice_pooled": "Dice, pooled", "dice_type_mean": "mean of types", "auroc": "AUROC"}
SAMPLES, SEED = 500, 20


def read_outcomes(revision: str, false_alarm_rate: float) -> Outcomes:
    """Return what a revision found on its validation images.

    Raises: EvaluationError, when there is no such revision or it has no table.
    """
    try:
        text = TABLE.read_text() if revision == WORKSPACE else dvc.api.read(str(TABLE), rev=revision)
    except (DvcException, OSError) as error:
        raise EvaluationError(
            f"{revision} has no {TABLE} ({error}): name what `dvc exp show` lists, a branch, a commit or {WORKSPACE}"
        ) from None
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(text)
        file.flush()
        results = read_results(Path(file.name))
    return outcomes_at(results, choose_operating_point(results, false_alarm_rate))


def refuse_other_images(outcomes: Mapping[str, Outcomes]) -> None:
    """Check that all validated on the same images.

    Raises: EvaluationError, naming those that did not.
    """
    reference, *others = outcomes
    images = set(outcomes[reference].image)
    if other := [revision for revision in others if set(outcomes[revision].image) != images]:
        raise EvaluationError(
            f"{', '.join(other)} validated on other images than {reference}: leave out what changed base.seed, "
            "data_load or data_split"
        )


def differences(reference: Outcomes, other: Outcomes) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each figure's difference: both measured on the same draws of tiles."""
    drawn = [bootstrap(outcomes, samples=SAMPLES, seed=SEED) for outcomes in (reference, other)]
    return {
        name: interval(
            [
                theirs[name] - ours[name]
                for ours, theirs in zip(*drawn, strict=True)
                if {name} <= ours.keys() & theirs.keys()
            ]
        )
        for name in FIGURES
    }


def rows(outcomes: Mapping[str, Outcomes]) -> list[list[str]]:
    """Return a row for each revision: its figures, and how far from the first one's they may lie."""
    reference, *others = outcomes
    base = measure(outcomes[reference])
    lines = [[reference, *(cell for name in FIGURES for cell in (f"{base[name]:.3f}", ""))]]
    for revision in others:
        figures, bounds = measure(outcomes[revision]), differences(outcomes[reference], outcomes[revision])
        cells = [[f"{figures[name]:.3f}", change(figures[name] - base[name], *bounds[name])] for name in FIGURES]
        lines.append([revision, *(cell for pair in cells for cell in pair)])
    return lines


def change(difference: float, low: float, high: float) -> str:
    """Return a difference with its interval; a star where it is on one side of nothing."""
    return f"{difference:+.3f} ({low:+.3f} to {high:+.3f}){'*' * (low > 0 or high < 0)}"


def arguments(words: Sequence[str] | None = None) -> list[str]:
    """Read the revisions from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__)
    parser.add_argument(
        "revisions", nargs="+", metavar="REVISION", help="the first is what the others are compared with"
    )
    revisions: list[str] = parser.parse_args(words).revisions
    return list(dict.fromkeys(revisions))


def main() -> None:
    """Compare."""
    rate = load_params().evaluate.false_alarm_rate
    outcomes = {revision: read_outcomes(revision, rate) for revision in arguments()}
    refuse_other_images(outcomes)
    first = next(iter(outcomes.values()))
    print(f"validation: {len(first)} images, {int(first.defective.sum())} defective, of {len(set(first.tile))} tiles")  # noqa: T201
    print_columns([["", *(cell for text in FIGURES.values() for cell in (text, "change (95 %)"))], *rows(outcomes)])


if __name__ == "__main__":
    sys.exit(exit_status(main))
