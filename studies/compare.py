"""Is an experiment really better, or only by chance? `python -m studies.compare main grid-1 grid-2` shows it.

Each revision is compared with the first. A revision (an experiment, a branch, a commit, or `workspace`) has its table
of the validation images in git. Its operating point is chosen on this table by the rule of the stage evaluate, so the
figures are equally optimistic for all. The test part is not read: it is for the experiment that is chosen in the end.
A revision whose table, model and parameters are not of one run is refused.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from host.commit import extract, git
from training.errors import EvaluationError, MixedRunsError, exit_status
from training.evaluation.differences import differences
from training.evaluation.figures import Outcomes, measure, outcomes_at
from training.evaluation.image_results import read_results
from training.evaluation.operating_point import choose_operating_point
from training.files import CONFIGURATION_FILE, PIPELINE_LOCK, VALIDATION_RESULTS_FILE, WEIGHTS_FILE
from training.params import PARAMS_FILE, load_params
from training.reports.figure_words import figure_text
from training.runs import stale_stage

TABLE, EVALUATE = VALIDATION_RESULTS_FILE, "evaluate"  # and the stage that writes it
FILES = (TABLE, CONFIGURATION_FILE, WEIGHTS_FILE)  # of one run, or there is nothing to compare
WORKSPACE = "workspace"
FIGURES = {"dice_pooled": "Dice, pooled", "dice_type_mean": "mean of types", "auroc": "AUROC"}  # and columns' heads
SAMPLES, SEED = 500, 20


def _read_outcomes(revision: str, false_alarm_rate: float) -> Outcomes:
    """Return what a revision found on its validation images.

    Raises: EvaluationError, when there is no such revision or it has no table. MixedRunsError, when the table is not of
    the revision's model.
    """
    if revision == WORKSPACE:
        return _outcomes_in(Path(), revision, false_alarm_rate)
    with tempfile.TemporaryDirectory() as folder:
        if commit := _commit_of(revision):
            extract(commit, Path(folder), *map(str, (*FILES, PARAMS_FILE, PIPELINE_LOCK)))
        return _outcomes_in(Path(folder), revision, false_alarm_rate)


def _outcomes_in(root: Path, revision: str, false_alarm_rate: float) -> Outcomes:
    if not (root / TABLE).is_file():
        raise EvaluationError(
            f"{revision} has no {TABLE}: name an experiment of `dvc exp show`, a branch, a commit or {WORKSPACE}"
        )
    if not (root / PIPELINE_LOCK).is_file():
        raise MixedRunsError(f"{revision} has no {PIPELINE_LOCK}: nothing says which model {TABLE} measures")
    if stale := stale_stage(FILES, root, as_configured=True):
        command = f"`dvc repro {EVALUATE}`"
        if revision != WORKSPACE:
            command = f"`dvc exp apply {revision}` and {command}, and name `{WORKSPACE}` in its place"
        raise MixedRunsError(f"{revision}: {stale.reason}, so {TABLE} is of another run: run {command}")
    results = read_results(root / TABLE)
    return outcomes_at(results, choose_operating_point(results, false_alarm_rate))


def _commit_of(revision: str) -> str:
    """Return the commit of a branch, a tag or the newest experiment of this name; empty if there is none."""
    found = git("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}")
    newest = ("--sort=-committerdate", "--count=1", "--format=%(objectname)")
    return found or git("for-each-ref", *newest, f"refs/exps/*/*/{revision}")


def _refuse_other_images(outcomes: Mapping[str, Outcomes]) -> None:
    """Check that all revisions were validated on the same images, with the same numbers of defective pixels.

    Raises: EvaluationError, naming those that were not.
    """
    reference, *others = outcomes
    truth = set(outcomes[reference].truth)
    if other := [revision for revision in others if set(outcomes[revision].truth) != truth]:
        raise EvaluationError(
            f"{', '.join(other)}: the validation images or their masks differ from those of {reference}. Leave out "
            "experiments that changed base.seed, data_load or data_split"
        )


def rows(outcomes: Mapping[str, Outcomes]) -> list[list[str]]:
    """Return a row for each revision: its figures, and the differences from the first revision's with intervals.

    What one tile alone decides has no interval. Where all images are defective, or none is, some figures are missing.
    """
    figures = {revision: measure(found) for revision, found in outcomes.items()}
    bounds = differences(outcomes, FIGURES, samples=SAMPLES, seed=SEED)
    reference, *others = outcomes
    lines = [[reference, *(cell for name in FIGURES for cell in (figure_text(figures[reference].get(name)), ""))]]
    for revision in others:
        line = [revision]
        for name in FIGURES:
            found, first = figures[revision].get(name), figures[reference].get(name)
            change = "" if found is None or first is None else _change(found - first, bounds[revision].get(name))
            line += [figure_text(found), change]
        lines.append(line)
    return lines


def _change(difference: float, within: tuple[float, float] | None) -> str:
    """Return a difference with its interval, if it has one; a star if the interval does not contain 0."""
    if within is None:
        return f"{difference:+.3f}"
    low, high = within
    return f"{difference:+.3f} ({low:+.3f} to {high:+.3f}){'*' * (low > 0 or high < 0)}"


def arguments(words: Sequence[str] | None = None) -> list[str]:
    """Read the revisions from the command line."""
    parser = argparse.ArgumentParser(prog="python -m studies.compare", description=__doc__)
    parser.add_argument("revisions", nargs="+", metavar="REVISION", help="the others are compared with the first")
    revisions: list[str] = parser.parse_args(words).revisions
    return list(dict.fromkeys(revisions))


def main() -> None:
    """Compare."""
    rate = load_params().evaluate.false_alarm_rate
    outcomes = {revision: _read_outcomes(revision, rate) for revision in arguments()}
    _refuse_other_images(outcomes)
    first = next(iter(outcomes.values()))
    images = f"{len(first)} images, {int(first.defective.sum())} defective, of {len(set(first.tile))} tiles"
    print(f"validation: {images}; all at evaluate.false_alarm_rate {rate} of {PARAMS_FILE}")  # noqa: T201
    header = ["", *(cell for text in FIGURES.values() for cell in (text, "change (95 %)"))]
    print(tabulate(rows(outcomes), header, tablefmt="plain", disable_numparse=True))  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
