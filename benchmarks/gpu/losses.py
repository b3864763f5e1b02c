"""The loss of the first steps on the CPU and on the GPU, in float32 and in bfloat16, from one seed."""

from typing import Any

from benchmarks.gpu.scope import Scope
from benchmarks.gpu.training_setup import params_of, trainer_on
from training.dataset.samples import load_part
from training.fitting.crops import CropSampler
from training.fitting.trainer import Trainer
from training.network.mixed_precision import whole_float32

STEPS, SMALL_STEPS = 20, 2
REFERENCE = "cpu_float32"


def measure(scope: Scope) -> dict[str, Any]:
    """Return the losses of each run, and how far each run is from the CPU's, as a share of its loss."""
    params, steps = params_of(scope), scope.size(STEPS, small=SMALL_STEPS)
    classes = 1 + len(params.data_load.types)
    # An epoch is one step, so each loss is told; without stochastic depth, which each device draws differently.
    one_step = {"epochs": steps, "crops_per_epoch": params.train.batch_size, "encoder_weights": None, "drop_path": 0.0}
    changed = params.train.model_copy(update=one_step)
    sampler = CropSampler(load_part("train", params), changed, params.base.seed)
    runs = {REFERENCE: ("cpu", False), "gpu_float32": (scope.device, False), "gpu_bfloat16": (scope.device, True)}
    losses: dict[str, list[float]] = {}
    for name, (device, mixed_precision) in runs.items():
        with trainer_on(device), whole_float32():
            trainer = Trainer(changed, params.base.seed, classes, mixed_precision=mixed_precision)
            losses[name] = [trainer.train_epoch(step, sampler) for step in range(steps)]
    return {
        "losses": losses,
        "largest_difference": {
            name: max(abs(a - b) / a for a, b in zip(losses[REFERENCE], found, strict=True))
            for name, found in losses.items()
            if name != REFERENCE
        },
    }
