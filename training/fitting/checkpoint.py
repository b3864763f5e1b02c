"""The saved state of a run, from which an interrupted run continues."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from training.errors import TrainingError
from training.network.weights import save_tensors

STATE_META, STATE_DIGEST = "state", "sha256"


class RunState:
    """One file with what an interrupted run needs to continue after its last complete epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "state.safetensors"

    def save(self, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, meta: dict[str, Any]) -> None:
        """Replace the saved state. meta: anything that JSON can represent."""
        tensors = {
            f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()
        }
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{slot}": value for slot, value in slots.items()}
        text = json.dumps(meta)
        save_tensors(tensors, self._file, {STATE_META: text, STATE_DIGEST: _digest(tensors, text)})

    def load(self, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Restore modules and optimizer in place and return the meta, or None if there is no state.

        Raises: TrainingError, when the file cannot be read or is not what was saved.
        """
        if not self._file.exists():
            return None
        try:
            with safe_open(self._file, framework="pt") as opened:
                told = opened.metadata()
            tensors = load_file(self._file)
            _refuse_altered(tensors, told)
            meta: dict[str, Any] = json.loads(told[STATE_META])
            for name, module in modules.items():
                module.load_state_dict({key: tensors[f"{name}/{key}"] for key in module.state_dict()})
        except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:  # TypeError: no metadata
            raise TrainingError(f"{self._file} cannot be read ({error}): delete it to start over") from None
        _restore_optimizer(optimizer, tensors)
        return meta


def _refuse_altered(tensors: Mapping[str, Tensor], told: Mapping[str, str]) -> None:
    if _digest(tensors, told[STATE_META]) != told[STATE_DIGEST]:
        raise ValueError("its content is not what was saved")


def _digest(tensors: Mapping[str, Tensor], meta: str) -> str:
    """Return the sha256 over names, types, shapes and bytes of the tensors, and the meta: a disk may flip bits."""
    digest = hashlib.sha256(meta.encode())
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, *rest = key.split("/")
        if kind == "optimizer":
            state.setdefault(int(rest[0]), {})[rest[1]] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
