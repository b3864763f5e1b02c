"""Stage train: the samples of the training folds → models/segmenter.*, the moving average of the network's weights."""

import sys

from training.dataset.samples import load_part
from training.dataset.split import read_split
from training.errors import exit_status
from training.files import LIVE_FOLDER, METRICS_FILE, RUN_FOLDER, WEIGHTS_FILE
from training.fitting.checkpoint import RunState
from training.fitting.run import configuration, live_in, run, run_key
from training.fitting.trainer import Trainer
from training.network.weights import save_model
from training.packages import check_packages
from training.params import load_params
from training.runs import refuse_unfit_inputs


def main() -> None:
    """Run the stage."""
    packages = check_packages()
    refuse_unfit_inputs()
    params = load_params()
    key = run_key(params, packages, read_split())
    samples = {part: load_part(part, params) for part in ("train", "validation")}
    trainer = Trainer(params.train, params.base.seed, 1 + len(params.data_load.types))
    with live_in(str(LIVE_FOLDER), trainer) as live:
        meta = run(trainer, params, samples, RunState(RUN_FOLDER / key), live)
    if trainer.is_main:
        before = WEIGHTS_FILE.read_bytes() if WEIGHTS_FILE.is_file() else b""
        save_model(trainer.average_network, configuration(params, key, meta))
        if WEIGHTS_FILE.read_bytes() != before:
            METRICS_FILE.unlink(missing_ok=True)  # of other weights: `dvc exp show` would show them as this run's
    trainer.accelerator.end_training()  # else a process among several may end while its connections' threads still run


if __name__ == "__main__":
    sys.exit(exit_status(main))
