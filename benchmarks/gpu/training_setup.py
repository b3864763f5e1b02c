"""The parameters and the device of the parts that train."""

import contextlib
from collections.abc import Iterator

from accelerate.state import AcceleratorState
from accelerate.utils import patch_environment

from benchmarks.gpu.scope import Scope
from training.params import Params, load_params

SMALL = {"encoder_weights": None, "epochs": 2, "crops_per_epoch": 4, "batch_size": 2, "crop_size": 64}


def params_of(scope: Scope) -> Params:
    """Return the parameters of params.yaml, in a small check with less of everything."""
    params = load_params()
    small = params.model_copy(update={"train": params.train.model_copy(update=SMALL)})
    return scope.size(params, small=small)


@contextlib.contextmanager
def trainer_on(device: str) -> Iterator[None]:
    """Have the trainers that are made here run on a device, `cpu` or `cuda`: Accelerate keeps its first choice."""
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 - as Accelerate's own tests do
    try:
        with patch_environment(ACCELERATE_USE_CPU=str(device == "cpu").lower()):
            yield
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001
