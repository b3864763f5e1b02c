"""The runs of the cross-validation: their names, their parameters and the folders of their tables.

honest-<k>    five folds by tile: fold k tests, another one validates, the rest trains
confirm-<k>   five folds of another split, drawn with the next seed; only if named
random        the literature's leaky random split, trained half as long again
baseline-<k>  the first public project's recipe on honest fold k; by default on the pipeline's own test fold
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiles.operating_point import OperatingPoint
from training.errors import StudyError
from training.evaluation.figures import Outcomes, outcomes_at
from training.evaluation.image_results import read_results
from training.evaluation.operating_point import choose_operating_point
from training.params import Params, load_params

TABLES_FOLDER = Path("studies/tables")
HONEST, CONFIRM, RANDOM, BASELINE = "honest-", "confirm-", "random", "baseline-"
SHARED_WITH_HONEST = {  # by kind of run: what of `shared` it does not change
    CONFIRM: ("train", "epochs", "split", "data_digest"),
    RANDOM: ("train", "seed", "data_digest"),
    BASELINE: ("seed", "split", "data_digest"),
}
RANDOM_EPOCHS = 1.5  # times params.yaml's: remembering tiles improves the figures if their siblings are tested


def run_names(params: Params) -> list[str]:
    """Return the names of the runs that belong in the report."""
    honest = [f"{HONEST}{fold}" for fold in range(params.data_split.folds)]
    return [*honest, RANDOM, f"{BASELINE}{params.data_split.test_fold}"]


def params_of(name: str, params: Params) -> Params:
    """Return the parameters of a run: those of params.yaml except for the split and what the kind of run changes.

    Raises: StudyError, when there is no run of this name.
    """
    split = params.data_split
    by_fold = [f"{kind}{fold}" for kind in (CONFIRM, BASELINE) for fold in range(split.folds)]
    if name not in {*run_names(params), *by_fold}:
        raise StudyError(f"there is no run {name}: choose one of {', '.join(run_names(params))}")
    base, train = params.base, params.train
    if name.startswith(CONFIRM):
        base = base.model_copy(update={"seed": base.seed + 1})
    if name == RANDOM:
        changes: dict[str, Any] = {"method": "random"}
        train = train.model_copy(update={"epochs": round(train.epochs * RANDOM_EPOCHS)})
    else:
        fold = int(name.rpartition("-")[2])
        validation = (fold + split.validation_fold - split.test_fold) % split.folds
        changes = {"method": "by_tile", "test_fold": fold, "validation_fold": validation}
    return params.model_copy(update={"base": base, "data_split": split.model_copy(update=changes), "train": train})


def read_run(folder: Path) -> dict[str, Any]:
    """Read the record of a run: configuration, commit, machine, seconds.

    Raises: StudyError, when it is missing.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise StudyError(f"{path} is missing: run `python -m studies.crossval {folder.name}`, or `git checkout` it")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def point_of(folder: Path) -> OperatingPoint:
    """Choose the operating point on a run's validation part; the first public project's recipe has its own."""
    if recipe := read_run(folder).get("recipe"):
        return OperatingPoint(recipe["threshold"], 0.0)
    return choose_operating_point(read_results(folder / "validation.csv"), load_params().evaluate.false_alarm_rate)


def outcomes_of(folder: Path) -> Outcomes:
    """Return what a run found on its test images, at the operating point of its validation part."""
    return outcomes_at(read_results(folder / "test.csv"), point_of(folder))


def honest_folders() -> list[Path]:
    """Return the folders of the honest runs that exist.

    Raises: StudyError, when there is none, or when folds were trained with different parameters or data.
    """
    if not (folders := fold_folders(HONEST)):
        raise StudyError("no honest fold has tables: run `python -m studies.crossval`")
    return folders


def fold_folders(kind: str) -> list[Path]:
    """Return the folders of one cross-validation's runs that exist. kind: HONEST or CONFIRM.

    Raises: StudyError, when folds were trained with different parameters or data.
    """
    folders = sorted(path.parent for path in TABLES_FOLDER.glob(f"{kind}*/run.json"))
    if len({json.dumps(shared(read_run(folder)), sort_keys=True) for folder in folders}) > 1:
        raise StudyError(
            f"the {kind.strip('-')} folds were trained with different parameters or data: delete outdated ones in "
            f"{TABLES_FOLDER}"
        )
    return folders


def shared(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all folds of one cross-validation share. A parameter that a fold does not know was off then.

    The epochs stand apart, because the random run has others. The first public project's recipe has no parameters.
    """
    train = {name: value for name, value in run.get("train", {}).items() if value}
    split = {name: value for name, value in run["split"].items() if name not in ("test_fold", "validation_fold")}
    epochs = train.pop("epochs", None)
    return {
        "train": train,
        "epochs": epochs,
        "seed": run["seed"],
        "data_digest": run["data_digest"],
        "split": split,
    }


def refuse_other_runs() -> None:
    """Check that all runs share with the honest folds what their kind does not change.

    Raises: StudyError, naming the folders and what differs.
    """
    honest = shared(read_run(honest_folders()[0]))
    for kind, names in SHARED_WITH_HONEST.items():
        runs = {path.parent: shared(read_run(path.parent)) for path in sorted(TABLES_FOLDER.glob(f"{kind}*/run.json"))}
        if other := [name for name in names if any(run[name] != honest[name] for run in runs.values())]:
            raise StudyError(
                f"{', '.join(map(str, runs))} and the honest folds differ in {', '.join(other)} of run.json: delete "
                "these folders, or train the honest folds with the same parameters and data"
            )


def refuse_own_images(params: Params) -> None:
    """Check that params.yaml is of the published dataset, as the tables are.

    Raises: StudyError, when params.yaml names a table of other images.
    """
    if params.data_load.table:
        raise StudyError(
            "crossval, report and misses work only on the published dataset: set data_load.table to null; for your "
            "own images, run `dvc exp run evaluate -S data_split.test_fold=0 -S data_split.validation_fold=1`, and so "
            "on for each fold: it measures, and publishes nothing"
        )
