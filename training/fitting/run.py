"""One training run: its key, and its epochs from the saved state, if there is one, to the last.

An interrupted run continues after its last complete epoch. Its state is in .run/train/<key>, outside DVC's outputs. The
key covers parameters, data, code and packages, so a run that would give other weights never finds it.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accelerate.utils import gather_object

from training.dataset.index import read_digest
from training.dataset.samples import Sample
from training.errors import TrainingError
from training.files import INDEX_FILE
from training.fitting.checkpoint import RunState
from training.fitting.crop_workers import Batches, made_ahead
from training.fitting.crops import CropSampler
from training.fitting.provenance import RunRecord, circumstances
from training.fitting.trainer import Trainer
from training.params import Params
from training.pipeline import code_digest
from training.progress import bar

if TYPE_CHECKING:
    from dvclive.live import Live


def run_key(params: Params, packages: Mapping[str, str], split: Mapping[str, str]) -> str:
    """Return a digest of everything that the weights depend on, except the machine.

    packages: {name: version}; split: {image: part}. The code is what dvc.yaml lists for the stage train.
    """
    data = [read_digest(), params.data_load.mask_above, params.data_load.types]
    knobs = [params.base.model_dump(), params.train.model_dump(), data, packages, sorted(split.items())]
    digest = hashlib.sha256(json.dumps([*knobs, code_digest("train")]).encode())
    digest.update(INDEX_FILE.read_bytes())
    return digest.hexdigest()[:16]


def run(
    trainer: Trainer, params: Params, samples: Mapping[str, list[Sample]], state: RunState, live: "Live | None"
) -> dict[str, Any]:
    """Train from the saved state, if there is one, to the last epoch; log each epoch's figures and save them.

    samples: of the parts `train` and `validation`; live: None in every process but the main one.
    Returns: {"history": figures of each epoch, …: what `RunRecord.so_far` returns}
    Raises: TrainingError, when a loss is not finite, or the processes train different runs or found
    different saved epochs.
    """
    saved = state.load(trainer.modules, trainer.optimizer)
    record = RunRecord(saved, trainer.device)
    meta: dict[str, Any] = saved or {"history": [], **record.so_far()}
    _refuse_different(gather_object([(state.folder.name, len(meta["history"]))]), state)
    for figures in meta["history"]:
        _log(live, figures)
    sampler = CropSampler(samples["train"], params.train, params.base.seed)
    crops = made_ahead(sampler, trainer.device)
    done, epochs = len(meta["history"]), params.train.epochs
    for epoch in bar(
        iterable=range(done, epochs),
        desc="train",
        initial=done,
        total=epochs,
        unit="epoch",
        disable=not trainer.is_main,
    ):
        figures = _train_and_validate(epoch, trainer, crops, params, samples["validation"])
        meta["history"].append(figures)
        meta |= record.so_far()
        if trainer.is_main:
            state.save(trainer.modules, trainer.optimizer, meta)
        _log(live, figures)
    trainer.accelerator.wait_for_everyone()
    return meta


def _train_and_validate(
    epoch: int, trainer: Trainer, crops: Batches, params: Params, validation: list[Sample]
) -> dict[str, float]:
    """Train one epoch and return its figures; validate every validate_every-th epoch and the last."""
    started = time.monotonic()
    figures = {"train/loss": trainer.train_epoch(epoch, crops)}
    figures["train/crops_per_s"] = trainer.steps_per_epoch * params.train.batch_size / (time.monotonic() - started)
    last = epoch + 1 == params.train.epochs
    if trainer.is_main and (last or (epoch + 1) % params.train.validate_every == 0):
        figures |= trainer.validate(validation)
    return figures


def _refuse_different(found: Sequence[tuple[str, int]], state: RunState) -> None:
    """Check that all processes train the same run and continue from the same epoch.

    found: each process's key of the run and number of saved epochs; only one machine may have the state's file.
    Raises: TrainingError.
    """
    keys, epochs = zip(*found, strict=True)
    if len(set(keys)) > 1:
        raise TrainingError(
            f"the processes would train different runs ({', '.join(keys)}): give every machine the same commit, "
            "params.yaml, packages and data"
        )
    if len(set(epochs)) > 1:
        raise TrainingError(
            f"the processes found different saved epochs ({', '.join(map(str, epochs))}), because {state.folder} is "
            "only on one machine: share the folder, copy it to the others, or delete it to start over"
        )


def _log(live: "Live | None", figures: dict[str, float]) -> None:
    """Give one epoch's figures to DVCLive."""
    if live is None:
        return
    for name, value in figures.items():
        live.log_metric(name, value)
    live.next_step()  # type: ignore[no-untyped-call]


def live_in(folder: str, trainer: Trainer) -> "contextlib.AbstractContextManager[Live | None]":
    """Return DVCLive for the main process and nothing for the others."""
    from dvclive.live import Live  # noqa: PLC0415  it imports DVC, which a run without it (benchmarks/gpu) need not have

    return Live(folder, dvcyaml=None, save_dvc_exp=False) if trainer.is_main else contextlib.nullcontext()


def configuration(params: Params, key: str, meta: dict[str, Any]) -> dict[str, Any]:
    """Return what is written beside the weights."""
    return {
        "train": params.train.model_dump(),
        "seed": params.base.seed,
        "split": params.data_split.model_dump(),
        "data_digest": read_digest(),
        "run": key,
        **circumstances(meta),
    }
