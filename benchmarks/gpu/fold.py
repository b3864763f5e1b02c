"""A whole training with the published parameters: its time, and its figures on the test images.

It continues after its last complete epoch, as every training.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.gpu.scope import Scope
from benchmarks.gpu.training_setup import params_of, trainer_on
from training.dataset.samples import Sample, load_part
from training.dataset.split import read_split
from training.evaluation.figures import measure as figures_of
from training.evaluation.figures import outcomes_at
from training.evaluation.image_results import Result, result_of
from training.evaluation.operating_point import choose_operating_point
from training.evaluation.outputs import name_of_test_part, read_metrics
from training.evaluation.predict import predict
from training.fitting.checkpoint import RunState
from training.fitting.run import run, run_key
from training.fitting.trainer import Trainer
from training.network.mixed_precision import whole_float32
from training.network.served import ServedSegmenter
from training.packages import DECISIVE, installed_version
from training.params import Params

SMALL_IMAGES = 2
KEPT = ("images", "dice_pooled", "dice_type_mean", "auroc")


def measure(scope: Scope) -> dict[str, Any]:
    """Return the seconds of the training, and the figures of its network beside those of the published one."""
    params = params_of(scope)
    samples = {"train": load_part("train", params)}
    for part in ("validation", "test"):
        samples[part] = load_part(part, params)[: scope.size(None, small=SMALL_IMAGES)]
    packages = {name: installed_version(name) or "" for name in DECISIVE}
    with trainer_on(scope.device):
        trainer = Trainer(params.train, params.base.seed, 1 + len(params.data_load.types))
        state = RunState(scope.folder / "train" / run_key(params, packages, read_split()))
        meta = run(trainer, params, samples, state, None)
    crops = trainer.steps_per_epoch * params.train.batch_size
    return {
        "epochs": params.train.epochs,
        "training_s": round(meta["seconds"], 1),
        "steps_s": round(sum(crops / epoch["train/crops_per_s"] for epoch in meta["history"]), 1),
        "test": _test_figures(trainer, samples, params),
        "published": _kept(read_metrics()[name_of_test_part(params)]),
    }


@whole_float32()
def _test_figures(trainer: Trainer, samples: Mapping[str, list[Sample]], params: Params) -> dict[str, Any]:
    segmenter = ServedSegmenter(trainer.average_network).to(trainer.device)

    def results(part: str) -> list[Result]:
        return [result_of(prediction) for prediction in predict(segmenter, samples[part], description=part)]

    point = choose_operating_point(results("validation"), params.evaluate.false_alarm_rate)
    return _kept(figures_of(outcomes_at(results("test"), point)))


def _kept(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in KEPT if name in figures}
