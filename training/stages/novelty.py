"""Stage novelty: weights → models/novelty.safetensors, the constants of the served tensor, and evaluation/novelty.json."""

import json
import sys

from host.files import write_whole
from training.dataset.samples import load_part
from training.errors import exit_status
from training.evaluation.novelty import describe_images, fit_novelty, images_of, measure_novelty, novelty_limit
from training.files import NOVELTY_FIGURES_FILE
from training.network.mixed_precision import pick_device
from training.network.weights import load_model, save_novelty
from training.packages import check_packages
from training.params import load_params
from training.pipeline import refuse_damaged_inputs


def main() -> None:
    """Run the stage."""
    check_packages()
    refuse_damaged_inputs()
    params = load_params()
    network = load_model()[0].to(pick_device())
    described = {
        part: describe_images(network, images_of(load_part(part, params)), description=part)
        for part in ("train", "validation", "test")
    }
    novelty = fit_novelty(described["train"])
    save_novelty(novelty)
    limit = novelty_limit(measure_novelty(novelty, described["validation"]))
    test = measure_novelty(novelty, described["test"])
    figures = {"limit": limit, "test": {"images": len(test), "unfamiliar": sum(value > limit for value in test)}}
    write_whole(NOVELTY_FIGURES_FILE, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(exit_status(main))
