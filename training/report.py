"""docs/report.md and crossval/metrics.json, from tables alone: nothing is trained or predicted here.

The tables are those in crossval/ and, of the shipped model, those of the stage robustness.

python -m training.report
"""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tiles.operating_point import OperatingPoint
from training.checkpoint import write_aside
from training.crossval import BASELINE, FOLDER, HONEST, RANDOM, run_names
from training.errors import CrossvalError, exit_status
from training.literature import CLASSES, mean_iou
from training.measure import (
    Outcomes,
    bootstrap,
    choose_operating_point,
    dice_pooled,
    interval,
    iou_of,
    join,
    measure,
    outcomes_at,
)
from training.params import load_params
from training.report_text import render
from training.results import read_results
from training.robustness_text import curves_text, read_curves

METRICS_FILE = FOLDER / "metrics.json"
REPORT_FILE = Path("docs/report.md")
DOUBTFUL_FILE = Path(__file__).with_name("doubtful_images.csv")
BOOTSTRAP_SAMPLES = 1000
SEED = 20


def read_run(folder: Path) -> dict[str, Any]:
    """Read what a run was: configuration, commit, machine, seconds.

    Raises: CrossvalError, when it is not there.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise CrossvalError(f"{path} is missing: run `python -m training.crossval {folder.name}`, or `git checkout` it")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def point_of(folder: Path) -> OperatingPoint:
    """Choose the operating point on a run's validation part; the first public project's recipe has its own."""
    if recipe := read_run(folder).get("recipe"):
        return OperatingPoint(recipe["threshold"], 0.0)
    return choose_operating_point(read_results(folder / "validation.csv"), load_params().evaluate.false_alarm_rate)


def honest_folders() -> list[Path]:
    """Return the folders of the honest runs that there are.

    Raises: CrossvalError, when there is none or two folds were trained in different ways.
    """
    folders = sorted(path.parent for path in FOLDER.glob(f"{HONEST}*/run.json"))
    if not folders:
        raise CrossvalError("no honest fold is there: run `python -m training.crossval`")
    runs = [read_run(folder) for folder in folders]
    if len({json.dumps(recipe(run), sort_keys=True) for run in runs}) > 1:
        raise CrossvalError(
            "the honest folds are of different parameters or data: delete those that are outdated in crossval/"
        )
    return folders


def recipe(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all folds of one cross-validation share."""
    split = {name: value for name, value in run["split"].items() if name not in ("test_fold", "validation_fold")}
    return {name: run[name] for name in ("train", "seed", "data_digest")} | {"split": split}


def with_intervals(outcomes: Outcomes) -> dict[str, Any]:
    """Measure, and give each figure's 95 % interval by bootstrap over tiles."""
    figures = flat(measure(outcomes))
    draws = [flat(draw) for draw in bootstrap(outcomes, samples=BOOTSTRAP_SAMPLES, seed=SEED)]
    return {
        name: {"value": value, "interval": interval([draw[name] for draw in draws if name in draw])}
        for name, value in figures.items()
    }


def flat(figures: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Return nested figures as {"outer.inner": figure}."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def honest() -> dict[str, Any]:
    """Return the headline: every image predicted by a model that did not see its tile, at a point not chosen on it."""
    folders = honest_folders()
    points = {folder.name: point_of(folder) for folder in folders}
    folds = {f.name: outcomes_at(read_results(f / "test.csv"), points[f.name]) for f in folders}
    outcomes = join(list(folds.values()))
    certain = outcomes.take(~np.isin(outcomes.image, doubtful_images()))
    return {
        "all": with_intervals(outcomes),
        "without_doubtful": with_intervals(certain),
        "folds": {name: measure(fold) for name, fold in folds.items()},
        "runs": {f.name: read_run(f) | {"operating_point": asdict(points[f.name])} for f in folders},
    }


def doubtful_images() -> Sequence[str]:
    """Return the images whose labels the audit doubts.

    Raises: CrossvalError, when their list is not there.
    """
    if not DOUBTFUL_FILE.is_file():
        raise CrossvalError(f"{DOUBTFUL_FILE} is missing: run `python -m training.audit`, or `git checkout` it")
    with DOUBTFUL_FILE.open(newline="") as file:
        return [row["image"] for row in csv.DictReader(file)]


def leaky() -> dict[str, Any] | None:
    """Return the literature's scores of the random run, None where it was not done.

    The operating point is that of its validation part.
    """
    folder = FOLDER / RANDOM
    if not (folder / "run.json").is_file():
        return None
    run, point = read_run(folder), point_of(folder)
    native, stretched, cropped = (
        outcomes_at(read_results(folder / f"{name}.csv"), point)
        for name in ("test", "test_stretched", "test_centre_crop")
    )
    doubtful = doubtful_images()
    with (folder / "test_classes.csv").open(newline="") as file:
        confusion = np.array([[int(row[name]) for name in CLASSES] for row in csv.DictReader(file)])
    if confusion[1:, 1:].sum() != native.true_positive.sum() or confusion[0, 1:].sum() != native.false_positive.sum():
        raise CrossvalError(
            f"{folder}/test_classes.csv was counted at another operating point than {point}: delete {folder} and run "
            f"`python -m training.crossval {RANDOM}`"
        )
    scored = {
        "centre_crop": cropped,  # with those whose defect the crop loses, as they counted
        "stretched": stretched,
        "native_with_free": native,
    }
    return {
        "run": run,
        "native": measure(native),
        **{name: overlap(outcomes) for name, outcomes in scored.items()},
        "without_doubtful": {
            name: overlap(outcomes.take(~np.isin(outcomes.image, doubtful))) for name, outcomes in scored.items()
        },
        "mean_iou": mean_iou(confusion, with_background=False),
        "mean_iou_with_background": mean_iou(confusion, with_background=True),
    }


def baselines() -> dict[str, Any]:
    """Return {run: its figures and, where they are there, those of our own run on the same fold}."""
    found = {}
    for path in sorted(FOLDER.glob(f"{BASELINE}*/run.json")):
        ours = FOLDER / f"{HONEST}{path.parent.name.removeprefix(BASELINE)}"
        counted = all((ours / name).is_file() for name in ("run.json", "test_centre_crop.csv"))
        found[path.parent.name] = {
            "run": read_run(path.parent),
            "theirs": scorings(path.parent),
            "ours": scorings(ours) if counted else None,
            "ours_run": ours.name,
        }
    return found


def scorings(folder: Path) -> dict[str, Any]:
    """Score a run as the first public project scores, and as we do."""
    point = point_of(folder)
    native, cropped = (
        outcomes_at(read_results(folder / f"{name}.csv"), point) for name in ("test", "test_centre_crop")
    )
    return {"centre_crop": overlap(cropped), "native": measure(native)}


def overlap(outcomes: Outcomes) -> dict[str, float]:
    """Return Dice and IoU pooled over all these images."""
    dice = dice_pooled(outcomes)
    return {"images": len(outcomes), "dice": dice, "iou": iou_of(dice)}


def main() -> None:
    """Measure all tables and write both files."""
    metrics = {"honest": honest(), "leaky": leaky(), "baseline": baselines()}
    REPORT_FILE.parent.mkdir(exist_ok=True)
    write_aside(METRICS_FILE, json.dumps(metrics, indent=2) + "\n")
    write_aside(REPORT_FILE, render(metrics, run_names(load_params()), curves_text(read_curves())))


if __name__ == "__main__":
    sys.exit(exit_status(main))
