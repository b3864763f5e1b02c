"""Every protocol of the report: a model for each, and its results as tables in crossval/<run>/.

    python -m training.crossval              every run that has no tables yet, one after another
    python -m training.crossval honest-3     this one

honest-<k>    five folds by physical tile: fold k tests, another one validates, the rest trains
random        the literature's leaky random split, where it pays to train half as long again
baseline-<k>  the first public project's recipe on honest fold k; by default on the pipeline's own

An interrupted run goes on after its last whole epoch. The tables appear whole or not at all. Processes may do different
runs at once; the second that begins the same one is refused.
"""

import contextlib
import fcntl
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from training import baseline
from training.archive import find_archive
from training.check_packages import check_packages
from training.checkpoint import CONFIGURATION_FILE, RunState, load_model
from training.data_load import DOWNLOAD_FOLDER
from training.data_split import assign_parts, read_index
from training.dataset import Sample, load_part
from training.deployed import DeployedSegmenter
from training.errors import CrossvalError, exit_status
from training.literature import write_centre_crop, write_literature_tables
from training.measure import choose_operating_point
from training.params import Params, load_params
from training.precision import pick_device
from training.predict import predict
from training.results import result_of, write_results
from training.train import RUN_FOLDER, configuration, live_in, run, run_key
from training.trainer import Trainer

FOLDER = Path("crossval")
LOCK_FOLDER = Path(".run/crossval")
HONEST, RANDOM, BASELINE = "honest-", "random", "baseline-"
RANDOM_EPOCHS = 1.5  # times params.yaml's: to remember tiles pays where their siblings are tested


def run_names(params: Params) -> list[str]:
    """Return the names of the runs that the report wants."""
    honest = [f"{HONEST}{fold}" for fold in range(params.data_split.folds)]
    return [*honest, RANDOM, f"{BASELINE}{params.data_split.test_fold}"]


def params_of(name: str, params: Params) -> Params:
    """Return the parameters of a run: those of params.yaml but for the split, and for the random one's epochs.

    Raises: CrossvalError, when there is no run of this name.
    """
    split = params.data_split
    if name not in {*run_names(params), *(f"{BASELINE}{fold}" for fold in range(split.folds))}:
        raise CrossvalError(f"there is no run {name}: choose of {', '.join(run_names(params))}")
    train = params.train
    if name == RANDOM:
        changes: dict[str, Any] = {"method": "random"}
        train = train.model_copy(update={"epochs": round(train.epochs * RANDOM_EPOCHS)})
    else:
        fold = int(name.removeprefix(HONEST).removeprefix(BASELINE))
        validation = (fold + split.validation_fold - split.test_fold) % split.folds
        changes = {"method": "by_tile", "test_fold": fold, "validation_fold": validation}
    return params.model_copy(update={"data_split": split.model_copy(update=changes), "train": train})


def shipped_model(key: str) -> tuple[nn.Module, dict[str, Any]] | None:
    """Return the pipeline's own model and configuration where they are of this run, so that it isn't trained twice."""
    if not CONFIGURATION_FILE.is_file() or json.loads(CONFIGURATION_FILE.read_text())["run"] != key:
        return None
    return load_model()


def train_model(
    params: Params, packages: dict[str, str], split: dict[str, str], samples: dict[str, list[Sample]]
) -> tuple[nn.Module, dict[str, Any]]:
    """Train, or go on where an interrupted run ended, or take the pipeline's own model where it is of this run."""
    key = run_key(params, packages, split)
    if shipped := shipped_model(key):
        return shipped
    trainer = Trainer(params.train, params.base.seed)
    folder = RUN_FOLDER / key
    with live_in(str(folder / "dvclive"), trainer) as live:
        meta = run(trainer, params, samples, RunState(folder), live)
    return trainer.average.module, configuration(params, key, meta)


def write_tables(network: nn.Module, samples: dict[str, list[Sample]], params: Params, folder: Path) -> None:
    """Predict the validation and the test part and write their tables."""
    segmenter = DeployedSegmenter(network).to(pick_device())
    validation = [result_of(p) for p in predict(segmenter, samples["validation"], description="validation")]
    predictions = list(predict(segmenter, samples["test"], description="test"))
    write_results(validation, folder / "validation.csv")
    write_results([result_of(prediction) for prediction in predictions], folder / "test.csv")
    write_centre_crop(predictions, params.data_load, folder)
    if params.data_split.method == "random":
        point = choose_operating_point(validation, params.evaluate.false_alarm_rate)
        write_literature_tables(predictions, point, folder)


def perform(name: str, base: Params, packages: dict[str, str]) -> None:
    """Do one run; its folder appears whole or not at all."""
    params = params_of(name, base)
    find_archive(params.data_load.url, DOWNLOAD_FOLDER)  # its masks are counted after the training
    split = assign_parts(read_index(), params.data_split, params.base.seed)
    samples = {part: load_part(part, params, split) for part in ("train", "validation", "test")}
    ours, theirs = (train_model, write_tables), (baseline.train_model, baseline.write_tables)
    train, write = theirs if name.startswith(BASELINE) else ours
    network, found = train(params, packages, split, samples)
    aside = FOLDER / f"{name}.new"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    write(network, samples, params, aside)
    (aside / "run.json").write_text(json.dumps(found, indent=2) + "\n")
    aside.replace(FOLDER / name)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep every other process of this clone from a run until the end of the `with` block, or of this process.

    Raises: CrossvalError, when one is at it.
    """
    LOCK_FOLDER.mkdir(parents=True, exist_ok=True)
    with (LOCK_FOLDER / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CrossvalError(
                f"{name} is under way in another process: wait for its end, or name another run"
            ) from None
        yield


def main() -> None:
    """Do the runs that the command line names, or all, but for those that are done."""
    packages, params = check_packages(), load_params()
    if params.data_load.table:
        raise CrossvalError(
            "the protocols are the literature's, on the published dataset: set data_load.table to null; for your own "
            "images change data_split.test_fold and run `dvc repro`"
        )
    names = sys.argv[1:] or run_names(params)
    for name in names:
        params_of(name, params)  # a wrong one is refused before the others take their hours
    for name in names:
        with alone(name):
            if (FOLDER / name).is_dir():
                print(f"{name}: done before, in {FOLDER / name}; delete the folder to do it again")  # noqa: T201
            else:
                perform(name, params, packages)
                print(f"{name}: commit {FOLDER / name}")  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
