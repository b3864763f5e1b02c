"""The pipeline's own recipe as a protocol of the cross-validation: a model trained on any split, and its tables.

`baseline.run` is the other protocol; both have train_model and write_tables.
"""

import json
from pathlib import Path
from typing import Any

from host.files import write_whole
from studies.consensus import write_consensus
from studies.int8 import write_int8
from studies.literature import write_centre_crop, write_literature_tables
from training.dataset.samples import Sample
from training.evaluation.image_results import result_of, write_results
from training.evaluation.novelty import fit_and_measure
from training.evaluation.operating_point import choose_operating_point
from training.evaluation.predict import predict
from training.files import CONFIGURATION_FILE, RUN_FOLDER, WEIGHTS_FILE
from training.fitting.checkpoint import RunState
from training.fitting.run import configuration, live_in, run, run_key
from training.fitting.trainer import Trainer
from training.network.mixed_precision import pick_device, whole_float32
from training.network.segmenter import Segmenter
from training.network.served import ServedSegmenter
from training.network.weights import load_model
from training.params import Params
from training.runs import stale_stage


def shipped_model(key: str) -> tuple[Segmenter, dict[str, Any]] | None:
    """Return the pipeline's own model and configuration if they belong to this run, so that it is not trained twice."""
    found = json.loads(CONFIGURATION_FILE.read_text(encoding="utf-8")) if CONFIGURATION_FILE.is_file() else {}
    if found.get("run") != key or stale_stage((CONFIGURATION_FILE, WEIGHTS_FILE)):
        return None
    return load_model()


def train_model(
    params: Params, packages: dict[str, str], split: dict[str, str], samples: dict[str, list[Sample]]
) -> tuple[Segmenter, dict[str, Any]]:
    """Train, continue an interrupted run, or return the pipeline's own model if it belongs to this run."""
    key = run_key(params, packages, split)
    if shipped := shipped_model(key):
        return shipped
    trainer = Trainer(params.train, params.base.seed)
    folder = RUN_FOLDER / key
    with live_in(str(folder / "dvclive"), trainer) as live:
        meta = run(trainer, params, samples, RunState(folder), live)
    return trainer.average_network, configuration(params, key, meta)


@whole_float32()
def write_tables(network: Segmenter, samples: dict[str, list[Sample]], params: Params, folder: Path) -> None:
    """Predict the validation and the test part and write their tables, and what int8 finds and the novelty catches."""
    segmenter = ServedSegmenter(network).to(pick_device())
    validation = [result_of(p) for p in predict(segmenter, samples["validation"], description="validation")]
    predictions = list(predict(segmenter, samples["test"], description="test"))
    write_results(validation, folder / "validation.csv")
    write_results([result_of(prediction) for prediction in predictions], folder / "test.csv")
    write_centre_crop(predictions, params.data_load, folder)
    fitted = fit_and_measure(network, samples["train"], samples["validation"], samples["test"])
    write_whole(folder / "novelty.json", json.dumps(fitted.figures, indent=2) + "\n")
    if params.quantize.serve == "int8":
        write_int8(network, fitted.novelty, samples, params, folder)
    if params.data_split.method == "random":
        point = choose_operating_point(validation, params.evaluate.false_alarm_rate)
        write_literature_tables(predictions, point, folder)
    else:
        write_consensus(predictions, folder)
