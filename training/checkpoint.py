"""Weights and run states on disk: safetensors beside JSON, written aside and renamed; nothing is ever unpickled."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.errors import TrainingError
from training.network import Segmenter, build_network
from training.params import TrainParams

MODEL_FOLDER = Path("models")
WEIGHTS_FILE = MODEL_FOLDER / "segmenter.safetensors"
CONFIGURATION_FILE = MODEL_FOLDER / "segmenter.json"
STATE_META = "state"


def write_aside(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(text)
    aside.replace(path)


def _save_tensors(tensors: dict[str, Tensor], path: Path, meta: dict[str, str]) -> None:
    aside = path.with_name(f"{path.name}.new")
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, aside, metadata=meta)
    except (OSError, SafetensorError) as error:
        aside.unlink(missing_ok=True)
        raise TrainingError(
            f"{path} can't be written ({error}): make room on its disk and run again; what was saved before is kept"
        ) from None
    aside.replace(path)


def save_model(network: nn.Module, configuration: dict[str, Any]) -> None:
    """Write the final weights and, last, the configuration that they belong to."""
    MODEL_FOLDER.mkdir(exist_ok=True)
    _save_tensors(network.state_dict(), WEIGHTS_FILE, {"format": "pt"})
    write_aside(CONFIGURATION_FILE, json.dumps(configuration, indent=2) + "\n")


def load_model() -> tuple[Segmenter, dict[str, Any]]:
    """Build the network that the configuration names and load its weights, in evaluation mode on the CPU.

    Raises: TrainingError, when a file is missing or the weights are of another network.
    """
    for path in (CONFIGURATION_FILE, WEIGHTS_FILE):
        if not path.is_file():
            raise TrainingError(f"{path} is missing: run `dvc repro train`, or `git checkout` it")
    try:
        configuration = json.loads(CONFIGURATION_FILE.read_text())
        weights = load_file(WEIGHTS_FILE)
        classes = len(weights["head.0.bias"]) // 4  # the head gives four pixels' logits at each place
        network = build_network(TrainParams.model_validate(configuration["train"]), classes=classes, pretrained=False)
        network.load_state_dict(weights)
    except (RuntimeError, SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{WEIGHTS_FILE} does not fit {CONFIGURATION_FILE}: run `dvc repro train` ({error})"
        ) from None
    return network.eval(), configuration


class RunState:
    """What an interrupted run needs to go on after its last whole epoch, in one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "state.safetensors"

    def save(self, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, meta: dict[str, Any]) -> None:
        """Replace the saved state. meta: anything JSON holds."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()
        }
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{slot}": value for slot, value in slots.items()}
        _save_tensors(tensors, self._file, {STATE_META: json.dumps(meta)})

    def load(self, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Restore modules and optimizer in place and return the meta, or None where there is no state.

        Raises: TrainingError, when the file can't be read.
        """
        if not self._file.exists():
            return None
        try:
            with safe_open(self._file, framework="pt") as opened:
                meta: dict[str, Any] = json.loads(opened.metadata()[STATE_META])
            tensors = load_file(self._file)
            for name, module in modules.items():
                module.load_state_dict({key: tensors[f"{name}/{key}"] for key in module.state_dict()})
        except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:  # TypeError: no metadata
            raise TrainingError(f"{self._file} can't be read ({error}): delete it to start over") from None
        _restore_optimizer(optimizer, tensors)
        return meta


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, *rest = key.split("/")
        if kind == "optimizer":
            state.setdefault(int(rest[0]), {})[rest[1]] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
