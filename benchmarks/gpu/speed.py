"""Crops per second of training on the GPU, and how long a step waits for them."""

from typing import Any

from benchmarks.gpu.scope import Scope
from benchmarks.gpu.training_setup import params_of, trainer_on
from benchmarks.training_speed import training_speed

STEPS, SMALL_STEPS = 200, 2


def measure(scope: Scope) -> dict[str, Any]:
    """Return what training_speed does."""
    with trainer_on(scope.device):
        return training_speed(params_of(scope), scope.size(STEPS, small=SMALL_STEPS))
