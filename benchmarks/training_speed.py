"""Crops per second of the real trainer on the real crops, and the share of that time that it waits for them."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

from training.dataset.samples import load_part
from training.fitting.crop_workers import Batches, made_ahead
from training.fitting.crops import Crops, CropSampler
from training.fitting.trainer import Trainer
from training.params import Params

WARM_UP_STEPS = 2  # the first steps set up memory and kernels


class TimedBatches:
    """Passes batches on and records how long the trainer waited for each, and how long it used it."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.loader_s: list[float] = []
        self.step_s: list[float] = []

    def batches(self, epoch: int, *, process: int = 0, processes: int = 1) -> Iterator[Crops]:
        """Yield an epoch's batches."""
        asked_s = time.perf_counter()
        for batch in self._batches.batches(epoch, process=process, processes=processes):
            made_s = time.perf_counter()
            yield batch
            self.loader_s.append(made_s - asked_s)
            asked_s = time.perf_counter()
            self.step_s.append(asked_s - made_s)


def training_speed(params: Params, steps: int) -> dict[str, Any]:
    """Train for so many steps after WARM_UP_STEPS; the weights are random at first, which costs the same."""
    counts = {"crops_per_epoch": (WARM_UP_STEPS + steps) * params.train.batch_size, "encoder_weights": None}
    changed = params.train.model_copy(update=counts)
    trainer = Trainer(changed, params.base.seed, 1 + len(params.data_load.types))
    sampler = CropSampler(load_part("train", params), changed, params.base.seed)
    crops = made_ahead(sampler, trainer.device)
    timed = TimedBatches(crops)
    trainer.train_epoch(0, timed)
    loader_s, step_s = (times[WARM_UP_STEPS:] for times in (timed.loader_s, timed.step_s))
    spent_s = sum(loader_s) + sum(step_s)
    return {
        "images_s": round(steps * changed.batch_size / spent_s, 3),
        "step_ms": round(1000 * statistics.median(map(sum, zip(loader_s, step_s, strict=True))), 1),
        "loader_ms": round(1000 * statistics.median(loader_s), 1),
        "loader_share": round(sum(loader_s) / spent_s, 4),
        "workers": getattr(crops, "workers", 0),
    }
