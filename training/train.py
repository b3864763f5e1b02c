"""Stage train: tiles of the training folds → models/segmenter.safetensors, the moving average of the network's weights.

An interrupted run goes on after its last whole epoch. Its state lies outside DVC's outputs, in .run/train/<key>, where
the key covers configuration, data, code and packages: a run that would give other weights never picks it up.
"""

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from dvclive.live import Live

import tiles
from training.check_packages import check_packages
from training.checkpoint import RunState, save_model
from training.crops import CropSampler
from training.data_split import read_split
from training.dataset import Sample, load_part
from training.errors import TrainingError, exit_status
from training.index import TILES_FOLDER, read_digest
from training.params import Params, load_params
from training.sittings import Sittings, circumstances
from training.trainer import Trainer

RUN_FOLDER = Path(".run/train")
CODE = ("crops", "dataset", "deployed", "losses", "network", "precision", "trainer")  # what the weights depend on


def run_key(params: Params, packages: dict[str, str], split: Mapping[str, str]) -> str:
    """Return a digest of everything that the weights depend on, the machine aside. split: {image: part}."""
    data = [read_digest(), params.data_load.mask_above, params.data_load.types]
    knobs = [params.base.model_dump(), params.train.model_dump(), data, packages, sorted(split.items())]
    digest = hashlib.sha256(json.dumps(knobs).encode())
    code = [Path(__file__).with_name(f"{name}.py") for name in CODE] + sorted(Path(tiles.__file__).parent.glob("*.py"))
    for path in (TILES_FOLDER / "index.csv", *code):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run(
    trainer: Trainer, params: Params, samples: Mapping[str, list[Sample]], state: RunState, live: Live | None
) -> dict[str, Any]:
    """Train from the saved state, if any, to the last epoch; each epoch's figures go to DVCLive and into the state.

    samples: those of the parts `train` and `validation`; live: None in every process but the main one.
    Returns: {"history": figures of each epoch, …: what `Sittings.so_far` tells}
    Raises: TrainingError, when a loss is not finite, or the processes' states are not of one epoch.
    """
    saved = state.load(trainer.modules, trainer.optimizer)
    sittings = Sittings(saved)
    meta: dict[str, Any] = saved or {"history": [], **sittings.so_far()}
    refuse_different(gather_object([len(meta["history"])]), state)
    for figures in meta["history"]:
        log(live, figures)
    sampler = CropSampler(samples["train"], params.train, params.base.seed)
    for epoch in range(len(meta["history"]), params.train.epochs):
        started = time.monotonic()
        figures = {"train/loss": trainer.train_epoch(epoch, sampler)}
        figures["train/crops_per_s"] = trainer.steps_per_epoch * params.train.batch_size / (time.monotonic() - started)
        last = epoch + 1 == params.train.epochs
        if trainer.is_main and (last or (epoch + 1) % params.train.validate_every == 0):
            figures |= trainer.validate(samples["validation"])
        meta["history"].append(figures)
        meta |= sittings.so_far()
        if trainer.is_main:
            state.save(trainer.modules, trainer.optimizer, meta)
        log(live, figures)
    trainer.accelerator.wait_for_everyone()
    return meta


def refuse_different(epochs: Sequence[int], state: RunState) -> None:
    """Check that all processes go on from the same epoch; only the main one's machine has the state's file.

    Raises: TrainingError.
    """
    if len(set(epochs)) > 1:
        raise TrainingError(
            f"the processes would go on after epochs {', '.join(map(str, epochs))}: {state.folder} is on one machine "
            "alone; share the folder, or copy it to the others, or delete it to start over"
        )


def log(live: Live | None, figures: dict[str, float]) -> None:
    """Give one epoch's figures to DVCLive."""
    if live is None:
        return
    for name, value in figures.items():
        live.log_metric(name, value)
    live.next_step()  # type: ignore[no-untyped-call]


def live_in(folder: str, trainer: Trainer) -> contextlib.AbstractContextManager[Live | None]:
    """Return DVCLive for the main process and nothing for the others."""
    return Live(folder, dvcyaml=None, save_dvc_exp=False) if trainer.is_main else contextlib.nullcontext()


def identity(params: Params) -> dict[str, Any]:
    """Return what tells this configuration's weights from any other's."""
    return {
        "train": params.train.model_dump(),
        "seed": params.base.seed,
        "split": params.data_split.model_dump(),
        "data_digest": read_digest(),
    }


def configuration(params: Params, key: str, meta: dict[str, Any]) -> dict[str, Any]:
    """Return what is written beside the weights."""
    return {
        **identity(params),
        "run": key,
        **circumstances(meta),
    }


def main() -> None:
    """Run the stage."""
    packages = check_packages()
    params = load_params()
    key = run_key(params, packages, read_split())
    samples = {part: load_part(part, params) for part in ("train", "validation")}
    trainer = Trainer(params.train, params.base.seed, 1 + len(params.data_load.types))
    with live_in("dvclive", trainer) as live:
        meta = run(trainer, params, samples, RunState(RUN_FOLDER / key), live)
    if trainer.is_main:
        save_model(trainer.average.module, configuration(params, key, meta))


if __name__ == "__main__":
    sys.exit(exit_status(main))
