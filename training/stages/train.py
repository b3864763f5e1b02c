"""Stage train: the samples of the training folds → models/segmenter.*, the moving average of the network's weights."""

import sys

from training.dataset.samples import load_part
from training.dataset.split import read_split
from training.errors import exit_status
from training.files import LIVE_FOLDER, RUN_FOLDER
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
        save_model(trainer.average_network, configuration(params, key, meta))


if __name__ == "__main__":
    sys.exit(exit_status(main))
