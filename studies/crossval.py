"""Train and test every protocol of the report, and write its results as tables in studies/tables/<run>/.

    python -m studies.crossval              every run that has no tables yet, one after another
    python -m studies.crossval honest-3     only this run

`runs` lists the runs. An interrupted run continues after its last complete epoch. A run's tables are written completely
or not at all. Processes may do different runs at the same time; the second one to begin the same run is refused.
"""

import contextlib
import fcntl
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from host.files import replacing_folder, write_whole
from studies import own_recipe
from studies.baseline import run as baseline
from studies.runs import BASELINE, TABLES_FOLDER, params_of, refuse_own_images, run_names
from training.dataset.archive import find_archive
from training.dataset.index import read_index
from training.dataset.samples import load_part
from training.dataset.split import PARTS, assign_folds_and_parts
from training.errors import StudyError, exit_status
from training.files import TILES_FOLDER
from training.packages import check_packages
from training.params import Params, load_params
from training.runs import refuse_mixed_runs

LOCK_FOLDER = Path(".run/crossval")


def perform(name: str, base: Params, packages: dict[str, str]) -> None:
    """Do one run; its folder is written completely or not at all."""
    params = params_of(name, base)
    find_archive(params.data_load.url)  # the masks are read after the training: fail now if there is no archive
    _, split = assign_folds_and_parts(read_index(), params.data_split, params.base.seed)
    samples = {part: load_part(part, params, split) for part in PARTS}
    protocol: Any = baseline if name.startswith(BASELINE) else own_recipe
    network, found = protocol.train_model(params, packages, split, samples)
    with replacing_folder(TABLES_FOLDER / name) as folder:
        protocol.write_tables(network, samples, params, folder)
        write_whole(folder / "run.json", json.dumps(found, indent=2) + "\n")


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep every other process of this clone from a run until the end of the `with` block or of this process.

    Raises: StudyError, when another process does it now.
    """
    LOCK_FOLDER.mkdir(parents=True, exist_ok=True)
    with (LOCK_FOLDER / f"{name}.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(f"{name} is running in another process: wait until it ends, or name another run") from None
        yield


def main() -> None:
    """Do the runs that the command line names, or all of them, except those that have tables."""
    packages, params = check_packages(), load_params()
    refuse_own_images(params)
    refuse_mixed_runs([TILES_FOLDER], as_configured=True)  # data_load ran with the parameters and code that are here
    names = sys.argv[1:] or run_names(params)
    for name in names:
        params_of(name, params)  # refuse a wrong name before the others take hours
    for name in names:
        with alone(name):
            if (TABLES_FOLDER / name).is_dir():
                print(f"{name}: done before, in {TABLES_FOLDER / name}; delete the folder to do it again")  # noqa: T201
            else:
                perform(name, params, packages)
                print(f"{name}: commit {TABLES_FOLDER / name}")  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
