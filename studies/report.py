"""`python -m studies.report`: the tables of all runs → studies/tables/metrics.json and studies/report.md.

Every figure is computed here or by `training.evaluation`; the template report.md.j2 has the words.
"""

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from host.files import write_whole
from studies.consensus import consensus_outcomes
from studies.differences import paired
from studies.int8 import int8_outcomes, refused_int8
from studies.judged import read_judged
from studies.literature import CLASSES, mean_iou
from studies.report_reliability import reliability
from studies.report_rows import report_values
from studies.report_tiles import by_tile, novelty_of
from studies.report_verdicts import verdict_figures
from studies.runs import (
    BASELINE,
    CONFIRM,
    HONEST,
    RANDOM,
    TABLES_FOLDER,
    fold_folders,
    honest_folders,
    outcomes_of,
    point_of,
    read_run,
    refuse_other_runs,
    refuse_own_images,
    run_names,
)
from tiles.operating_point import OperatingPoint
from training.dataset.doubtful import doubtful_images
from training.errors import StudyError, exit_status
from training.evaluation.bootstrap import bootstrap, interval, of_one_tile
from training.evaluation.figures import Outcomes, dice_pooled, iou_of, join, measure, outcomes_at
from training.evaluation.flat import flat
from training.evaluation.image_results import read_results
from training.files import ROBUSTNESS_FOLDER
from training.params import load_params
from training.reports.robustness import read_curves
from training.reports.templates import render
from training.runs import refuse_mixed_runs

METRICS_FILE = TABLES_FOLDER / "metrics.json"
REPORT_FILE = Path("studies/report.md")
TEMPLATE = Path(__file__).with_name("report.md.j2")
BOOTSTRAP_SAMPLES = 1000
SEED = 20
SIZES = {"images", "tiles", "defective_images", "free.images"}  # how large a draw is: this says nothing about the model


def honest() -> dict[str, Any]:
    """Return the main figures: a model that did not see the tile predicts each image, at a point chosen elsewhere."""
    folders = honest_folders()
    points = {folder.name: point_of(folder) for folder in folders}
    folds = {folder.name: outcomes_of(folder) for folder in folders}
    outcomes = join(list(folds.values()))
    params = load_params()
    quantized = int8_outcomes(folders, params.evaluate.false_alarm_rate)
    judged = read_judged(folders)
    agreed = consensus_outcomes({folder: points[folder.name] for folder in folders})
    return {
        "all": with_intervals(outcomes),
        "without_doubtful": with_intervals(_certain(outcomes)),
        "consensus": with_intervals(agreed) if agreed else None,
        "folds": {name: measure(fold) for name, fold in folds.items()},
        "tiles": by_tile(
            {folder: folds[folder.name] for folder in folders},
            params.evaluate,
            samples=BOOTSTRAP_SAMPLES,
            seed=SEED,
        ),
        "int8": paired({"fp32": outcomes, "int8": quantized}) if quantized else None,
        "int8_refused": refused_int8(folders, params) if quantized else {},
        "verdicts": verdict_figures(judged, params.evaluate),
        "reliability": reliability(judged),
        "novelty": novelty_of(folders),
        "runs": {f.name: read_run(f) | {"operating_point": asdict(points[f.name])} for f in folders},
    }


def confirmation() -> dict[str, Any] | None:
    """Compare the folds of another split with the honest ones, on the images that both tested; None without such."""
    if not (folders := fold_folders(CONFIRM)):
        return None
    params = load_params().evaluate
    splits = {
        name: {folder: outcomes_of(folder) for folder in each}
        for name, each in (("honest", honest_folders()), ("other", folders))
    }
    joined = {name: join(list(folds.values())) for name, folds in splits.items()}
    names, places, other_places = np.intersect1d(joined["honest"].name, joined["other"].name, return_indices=True)
    if not names.size:
        return None
    both = {"honest": joined["honest"].take(places), "other": joined["other"].take(other_places)}
    tiles = {
        name: by_tile(
            {folder: found.take(np.isin(found.name, names)) for folder, found in folds.items()},
            params,
            samples=BOOTSTRAP_SAMPLES,
            seed=SEED,
        )
        for name, folds in splits.items()
    }
    return {
        "images": len(names),
        "figures": paired(both),
        "tiles": {name: found["all"] for name, found in tiles.items()},
        "runs": {folder.name: read_run(folder) for folder in folders},
    }


def _certain(outcomes: Outcomes) -> Outcomes:
    """Leave out the images with doubtful labels."""
    return outcomes.take(~np.isin(outcomes.name, doubtful_images()))


def with_intervals(outcomes: Outcomes) -> dict[str, Any]:
    """Measure, and return each figure with its 95 % interval by bootstrap over tiles.

    A set's sizes have none, nor has what one tile alone decides, or what no draw shows.
    """
    figures, without = flat(measure(outcomes)), SIZES | of_one_tile(outcomes)
    draws = [flat(draw) for draw in bootstrap(outcomes, samples=BOOTSTRAP_SAMPLES, seed=SEED)]
    drawn = {name: [draw[name] for draw in draws if name in draw] for name in figures.keys() - without}
    return {
        name: {"value": value} | ({"interval": interval(drawn[name])} if drawn.get(name) else {})
        for name, value in figures.items()
    }


def leaky() -> dict[str, Any] | None:
    """Return the random run's figures, scored as publications do; None if the run was not done."""
    folder = TABLES_FOLDER / RANDOM
    if not (folder / "run.json").is_file():
        return None
    run, point = read_run(folder), point_of(folder)
    native, stretched, cropped = (
        outcomes_at(read_results(folder / f"{name}.csv"), point)
        for name in ("test", "test_stretched", "test_centre_crop")
    )
    confusion = _class_confusion(folder, native, point)
    scored = {
        "centre_crop": cropped,  # also images whose defect the crop loses: the publication counted them
        "stretched": stretched,
        "native_with_free": native,
    }
    return {
        "run": run,
        **{name: _overlap(outcomes) for name, outcomes in scored.items()},
        "without_doubtful": {name: _overlap(_certain(outcomes)) for name, outcomes in scored.items()},
        "mean_iou": mean_iou(confusion, with_background=False),
        "mean_iou_with_background": mean_iou(confusion, with_background=True),
    }


def _class_confusion(folder: Path, native: Outcomes, point: OperatingPoint) -> np.ndarray:
    """Read test_classes.csv. Shape: (classes, classes) int64, true class by predicted class.

    Raises: StudyError, when it was counted at another operating point.
    """
    with (folder / "test_classes.csv").open(newline="", encoding="utf-8") as file:
        confusion = np.array([[int(row[name]) for name in CLASSES] for row in csv.DictReader(file)])
    if confusion[1:, 1:].sum() != native.true_positive.sum() or confusion[0, 1:].sum() != native.false_positive.sum():
        raise StudyError(
            f"{folder}/test_classes.csv was counted at another operating point than {point}: delete {folder} and run "
            f"`python -m studies.crossval {RANDOM}`"
        )
    return confusion


def _overlap(outcomes: Outcomes) -> dict[str, float]:
    """Return Dice and IoU pooled over all these images."""
    dice = dice_pooled(outcomes)
    return {"images": len(outcomes), "dice": dice, "iou": iou_of(dice)}


def baselines() -> dict[str, Any]:
    """Return {run: its figures and, if they exist, those of our own run on the same fold}."""
    found = {}
    for path in sorted(TABLES_FOLDER.glob(f"{BASELINE}*/run.json")):
        ours = TABLES_FOLDER / f"{HONEST}{path.parent.name.removeprefix(BASELINE)}"
        counted = all((ours / name).is_file() for name in ("run.json", "test_centre_crop.csv"))
        found[path.parent.name] = {
            "run": read_run(path.parent),
            "theirs": _scorings(path.parent),
            "ours": _scorings(ours) if counted else None,
            "ours_run": ours.name,
        }
    return found


def _scorings(folder: Path) -> dict[str, Any]:
    """Score a run in the first public project's way and in ours."""
    point = point_of(folder)
    native, cropped = (
        outcomes_at(read_results(folder / f"{name}.csv"), point) for name in ("test", "test_centre_crop")
    )
    return {"centre_crop": _overlap(cropped), "native": measure(native)}


def main() -> None:
    """Measure all tables and write both files."""
    params = load_params()
    refuse_own_images(params)
    refuse_mixed_runs([ROBUSTNESS_FOLDER])
    refuse_other_runs()
    metrics = {"honest": honest(), "confirmation": confirmation(), "leaky": leaky(), "baseline": baselines()}
    write_whole(METRICS_FILE, json.dumps(metrics, indent=2) + "\n")
    write_whole(REPORT_FILE, render(TEMPLATE, **report_values(metrics, run_names(params), read_curves())))


if __name__ == "__main__":
    sys.exit(exit_status(main))
