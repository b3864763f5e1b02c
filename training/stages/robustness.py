"""Stage robustness: weights and operating point → evaluation/plots/robustness/<perturbation>.csv.

Each table has one row for each level, measured on the perturbed test images, and one row for the unchanged images.
"""

import sys

from host.files import replacing_folder, write_table
from training.dataset.samples import load_part
from training.errors import exit_status
from training.evaluation.outputs import read_operating_point
from training.evaluation.robustness import choose_samples, curves
from training.files import ROBUSTNESS_FOLDER
from training.network.mixed_precision import pick_device, whole_float32
from training.network.served import ServedSegmenter
from training.network.weights import load_model
from training.packages import check_packages
from training.params import load_params
from training.runs import refuse_unfit_inputs


@whole_float32()
def main() -> None:
    """Run the stage; the folder is written completely or not at all."""
    check_packages()
    refuse_unfit_inputs()
    params = load_params()
    network, _ = load_model()
    segmenter = ServedSegmenter(network).to(pick_device())
    samples = choose_samples(load_part("test", params))
    tables = curves(segmenter, samples, read_operating_point(), params.evaluate.robustness)
    with replacing_folder(ROBUSTNESS_FOLDER) as folder:
        for name, rows in tables.items():
            write_table(folder / f"{name}.csv", rows)


if __name__ == "__main__":
    sys.exit(exit_status(main))
