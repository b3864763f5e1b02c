"""Stage novelty: weights → models/novelty.safetensors, the constants of the served tensor, and evaluation/novelty.json.

The constants are fitted to the train part, the limit is chosen on the validation part, and the test part is measured.
"""

import json
import sys

from host.files import write_whole
from training.dataset.samples import load_part
from training.errors import exit_status
from training.evaluation.novelty import fit_and_measure
from training.files import NOVELTY_FIGURES_FILE
from training.network.mixed_precision import pick_device, whole_float32
from training.network.weights import load_model, save_novelty
from training.packages import check_packages
from training.params import load_params
from training.runs import refuse_unfit_inputs


@whole_float32()
def main() -> None:
    """Run the stage."""
    check_packages()
    refuse_unfit_inputs()
    params = load_params()
    network = load_model()[0].to(pick_device())
    train, validation, test = (load_part(part, params) for part in ("train", "validation", "test"))
    fitted = fit_and_measure(network, train, validation, test)
    save_novelty(fitted.novelty)
    write_whole(NOVELTY_FIGURES_FILE, json.dumps(fitted.figures, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(exit_status(main))
