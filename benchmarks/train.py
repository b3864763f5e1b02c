"""`make bench-train`: images per second of training and of evaluation's prediction; the data loader's share of a step.

It runs the real trainer on the real crops with the published parameters, for fewer steps, in the training environment.
On a CPU the training process itself makes the crops, so the step waits for all of their time; on a GPU workers do.
"""

import argparse
import sys
import time
from typing import Any

import torch

from benchmarks.errors import BenchmarkError, exit_status, say
from benchmarks.record import write_record
from benchmarks.training_speed import WARM_UP_STEPS, training_speed
from host.allocator import keep_all_freed_memory
from training.dataset.samples import load_part
from training.errors import PipelineError
from training.evaluation.predict import predict
from training.network.mixed_precision import pick_device
from training.network.served import ServedSegmenter
from training.network.weights import load_model
from training.params import Params, load_params

WARM_UP_IMAGES = 2


def main() -> None:
    """Measure, and write the record `train`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description="Training's speed.")
    parser.add_argument("--steps", type=int, default=20, help="steps that are counted; default: %(default)s")
    parser.add_argument("--images", type=int, default=100, help="images to predict; default: %(default)s")
    options = parser.parse_args()
    keep_all_freed_memory()  # as every stage does
    try:
        params = load_params()
        figures = {"training": train(params, options.steps), "prediction": predicted(params, options.images)}
    except PipelineError as error:
        raise BenchmarkError(str(error)) from None
    published = {
        name: getattr(params.train, name) for name in ("batch_size", "crop_size", "encoder", "decoder_channels")
    }
    machine = {"device": str(pick_device()), "threads": torch.get_num_threads()}
    write_record("train", figures=figures, settings={**vars(options), **published, "machine": machine})


def train(params: Params, steps: int) -> dict[str, Any]:
    """Train for so many counted steps."""
    say(f"training {WARM_UP_STEPS} + {steps} steps of {params.train.batch_size} crops")
    figures = training_speed(params, steps)
    say(", ".join(f"{name}: {value}" for name, value in figures.items()))
    return figures


def predicted(params: Params, images: int) -> dict[str, Any]:
    """Predict the first images of the validation part, whole and one by one, as the evaluation does."""
    samples = load_part("validation", params)[: WARM_UP_IMAGES + images]
    segmenter = ServedSegmenter(load_model()[0]).to(pick_device())
    answers = predict(segmenter, samples, description="validation")
    for _ in range(WARM_UP_IMAGES):
        next(answers)
    started_s = time.perf_counter()
    count = sum(1 for _ in answers)
    figures = {"images": count, "images_s": round(count / (time.perf_counter() - started_s), 3)}
    say(", ".join(f"{name}: {value}" for name, value in figures.items()))
    return figures


if __name__ == "__main__":
    sys.exit(exit_status(main))
