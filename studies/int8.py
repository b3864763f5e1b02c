"""What int8 costs in quality, on every fold: a run's network is exported and quantized as the pipeline does it."""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.dataset.samples import Sample
from training.evaluation.figures import Outcomes, join, outcomes_at
from training.evaluation.image_results import read_results, result_of, write_results
from training.evaluation.operating_point import choose_operating_point
from training.graphs.acceptance import dice_of, excess, losses
from training.graphs.calibration import choose_images
from training.graphs.onnx_export import export_graph
from training.graphs.quantization import to_int8
from training.graphs.session import open_session, predict_onnx
from training.network.novelty import Novelty
from training.network.segmenter import Segmenter
from training.network.weights import save_model, save_novelty
from training.params import Params

VALIDATION, TEST = "validation_int8.csv", "test_int8.csv"


def write_int8(
    network: Segmenter, novelty: Novelty, samples: Mapping[str, Sequence[Sample]], params: Params, folder: Path
) -> None:
    """Write validation_int8.csv and test_int8.csv: the columns of test.csv, as the int8 graph answers."""
    with tempfile.TemporaryDirectory() as scratch:
        session = open_session(quantized_graph(network, novelty, samples["train"], params, Path(scratch)))
        for part, table in (("validation", VALIDATION), ("test", TEST)):
            predictions = predict_onnx(session, samples[part], description=f"int8 {part}")
            write_results([result_of(prediction) for prediction in predictions], folder / table)


def quantized_graph(
    network: Segmenter, novelty: Novelty, train: Sequence[Sample], params: Params, scratch: Path
) -> Path:
    """Export a network in a project of its own, as fp32.onnx, and return the path of its int8 graph."""
    with contextlib.chdir(scratch):
        save_model(network, {"train": params.train.model_dump()})
        save_novelty(novelty)
    full, quantized = scratch / "fp32.onnx", scratch / "int8.onnx"
    export_graph(full, timeout_s=params.export.shape_solver_timeout_s, project=scratch)
    images = choose_images(train, params.quantize.calibration_images, seed=params.base.seed)
    to_int8(full, quantized, images, params.quantize)
    return quantized


def int8_outcomes(folders: Sequence[Path], false_alarm_rate: float) -> Outcomes | None:
    """Return what the int8 graphs of all folds find, each at its own point; None unless every fold has the tables."""
    if not all((folder / TEST).is_file() for folder in folders):
        return None
    return join([_outcomes(folder, (VALIDATION, TEST), false_alarm_rate)[1] for folder in folders])


def refused_int8(folders: Sequence[Path], params: Params) -> dict[str, dict[str, float]]:
    """Return {run: {type, or `all`: loss of Dice}} where it is larger than the stage `quantize` allows."""
    refused = {}
    for folder in folders:
        tables = (("validation.csv", "test.csv"), (VALIDATION, TEST))
        full, quantized = (dice_of(_outcomes(folder, pair, params.evaluate.false_alarm_rate)) for pair in tables)
        lost = losses(full, quantized)
        if too_much := excess(lost, params.quantize):
            refused[folder.name] = {name: lost[name] for name in too_much}
    return refused


def _outcomes(folder: Path, tables: tuple[str, str], false_alarm_rate: float) -> list[Outcomes]:
    """Return the outcomes of two tables, at the point that the first one, of the validation part, gives."""
    validation, test = (read_results(folder / name) for name in tables)
    point = choose_operating_point(validation, false_alarm_rate)
    return [outcomes_at(results, point) for results in (validation, test)]
