"""The model's weights on disk, as safetensors, replaced completely or not at all: nothing is ever unpickled."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from host.files import replacing, write_whole
from training.errors import TrainingError
from training.files import CONFIGURATION_FILE, NOVELTY_FILE, WEIGHTS_FILE
from training.network.novelty import Novelty, with_constants
from training.network.segmenter import Segmenter, build_network
from training.params import NetworkParams


def save_tensors(tensors: dict[str, Tensor], path: Path, meta: dict[str, str]) -> None:
    """Write tensors of any device completely or not at all.

    Raises: TrainingError, when the disk refuses them.
    """
    try:
        with replacing(path) as aside:
            aside.write_bytes(save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, meta))
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be written ({error}): make room on its disk and run again; what was saved before is kept"
        ) from None


def save_model(network: nn.Module, configuration: dict[str, Any]) -> None:
    """Write the final weights and, last, the configuration that they belong to."""
    save_tensors(network.state_dict(), WEIGHTS_FILE, {"format": "pt"})
    write_whole(CONFIGURATION_FILE, json.dumps(configuration, indent=2) + "\n")


def load_model() -> tuple[Segmenter, dict[str, Any]]:
    """Build the network that the configuration names and load its weights, in evaluation mode on the CPU.

    Of the stored training parameters only NetworkParams are read, so that a model stays loadable when others are added
    or removed.

    Raises: TrainingError, when a file is missing or the weights belong to another network.
    """
    for path in (CONFIGURATION_FILE, WEIGHTS_FILE):
        if not path.is_file():
            raise TrainingError(f"{path} is missing: run `dvc repro train`, or `git checkout` it")
    try:
        configuration = json.loads(CONFIGURATION_FILE.read_text(encoding="utf-8"))
        weights = load_file(WEIGHTS_FILE)
        classes = len(weights["head.0.bias"]) // 4  # the head gives four pixels' logits at each position
        params = NetworkParams.model_validate(configuration["train"], extra="ignore")
        network = build_network(params, classes=classes, pretrained=False)
        network.load_state_dict(weights)
    except (RuntimeError, SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{WEIGHTS_FILE} does not fit {CONFIGURATION_FILE} ({error}): run `dvc repro train`, or `git checkout` both"
        ) from None
    return network.eval(), configuration


def save_novelty(novelty: Novelty) -> None:
    """Write the constants of the served tensor `novelty`."""
    save_tensors(novelty.state_dict(), NOVELTY_FILE, {"format": "pt"})


def load_novelty() -> Novelty:
    """Load the constants of the served tensor `novelty`.

    Raises: TrainingError, when they are missing or damaged.
    """
    if not NOVELTY_FILE.is_file():
        raise TrainingError(f"{NOVELTY_FILE} is missing: run `dvc repro novelty`, or `git checkout` it")
    try:
        return with_constants(load_file(NOVELTY_FILE))
    except SafetensorError as error:
        raise TrainingError(f"{NOVELTY_FILE} is damaged: run `dvc repro novelty` ({error})") from None
