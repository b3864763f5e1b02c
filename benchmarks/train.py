"""`make bench-train`: images per second of training and of evaluation's prediction; the data loader's share of a step.

It runs the real trainer on the real crops with the published parameters, for fewer steps, in the training environment.
Batches are made in the training process itself, so the time for a batch is time that the step waits.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.errors import BenchmarkError, exit_status, say
from benchmarks.record import write_record
from host.allocator import keep_all_freed_memory
from training.dataset.samples import load_part
from training.errors import PipelineError
from training.evaluation.predict import predict
from training.fitting.crops import Crops, CropSampler
from training.fitting.trainer import Trainer
from training.network.mixed_precision import pick_device
from training.network.served import ServedSegmenter
from training.network.weights import load_model
from training.params import Params, load_params

WARM_UP_STEPS = 2  # the first steps set up memory and kernels
WARM_UP_IMAGES = 2


class TimedSampler(CropSampler):
    """A CropSampler that records how long each batch took to make, and how long it was used."""

    loader_s: list[float]
    step_s: list[float]

    def batches(self, epoch: int, *, process: int = 0, processes: int = 1) -> Iterator[Crops]:
        """Yield what CropSampler does."""
        self.loader_s, self.step_s = [], []
        asked_s = time.perf_counter()
        for batch in super().batches(epoch, process=process, processes=processes):
            made_s = time.perf_counter()
            yield batch
            self.loader_s.append(made_s - asked_s)
            asked_s = time.perf_counter()
            self.step_s.append(asked_s - made_s)


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
    """Train for so many steps after WARM_UP_STEPS; the weights are random at first, which costs the same."""
    counts = {"crops_per_epoch": (WARM_UP_STEPS + steps) * params.train.batch_size, "encoder_weights": None}
    changed = params.train.model_copy(update=counts)
    sampler = TimedSampler(load_part("train", params), changed, params.base.seed)
    trainer = Trainer(changed, params.base.seed)
    say(f"training {WARM_UP_STEPS} + {steps} steps of {changed.batch_size} crops")
    trainer.train_epoch(0, sampler)
    loader_s, step_s = (times[WARM_UP_STEPS:] for times in (sampler.loader_s, sampler.step_s))
    spent_s = sum(loader_s) + sum(step_s)
    figures = {
        "images_s": round(steps * changed.batch_size / spent_s, 3),
        "step_ms": round(1000 * statistics.median(map(sum, zip(loader_s, step_s, strict=True))), 1),
        "loader_ms": round(1000 * statistics.median(loader_s), 1),
        "loader_share": round(sum(loader_s) / spent_s, 4),
    }
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
