"""Stage model_card: what the other stages wrote → docs/model_card.md. No figure is typed: each is read or computed.

The words stand in model_card.md.template and model_card_text.py.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tiles.canvas import STRIDE
from tiles.operating_point import SCORE_PIXELS, OperatingPoint
from training.check_packages import check_packages
from training.checkpoint import load_model, write_aside
from training.data_split import read_index, read_split
from training.errors import EvaluationError, exit_status
from training.evaluate import FOLDER as EVALUATION_FOLDER
from training.evaluate import METRICS_FILE
from training.export import PARITY_FILE
from training.measure import USUAL_THRESHOLD, Outcomes, measure, outcomes_at, types_of
from training.model_card_text import (
    augmentation_text,
    by_type_text,
    data_text,
    figures_text,
    misses_text,
    network_text,
    parity_text,
    precisions_text,
    provenance_text,
    source_text,
    split_text,
    weakest_text,
)
from training.params import Params, load_params
from training.quantize import PRECISIONS_FILE
from training.report import doubtful_images
from training.results import read_results
from training.robustness_text import read_curves, table_text

CARD_FILE = Path("docs/model_card.md")
TEMPLATE_FILE = Path(__file__).with_name("model_card.md.template")
RESULTS_FILE = EVALUATION_FOLDER / "results_test.csv"
INPUTS = {
    METRICS_FILE: "evaluate",
    RESULTS_FILE: "evaluate",
    PARITY_FILE: "export",
    PRECISIONS_FILE: "quantize",
}
MACS_SIDE = 256  # pixels, of the image on which multiply-adds are counted; a multiple of STRIDE


def refuse_missing() -> None:
    """Look for what evaluate, export and quantize write.

    Raises: EvaluationError, naming the file and the command that makes it.
    """
    for path, stage in INPUTS.items():
        if not path.is_file():
            raise EvaluationError(f"{path} is missing: run `dvc repro {stage}`, or `git checkout` it")


def multiply_adds(network: nn.Module) -> float:
    """Return the multiplications with additions for one pixel; convolutions alone, as it is usual to count."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, MACS_SIDE, MACS_SIDE))
    return float(counter.get_total_flops()) / 2 / MACS_SIDE**2  # a multiplication and an addition count as two


def figures_by_type(outcomes: Outcomes) -> dict[str, dict[str, Any]]:
    """Return the figures of each published folder that is there."""
    return {kind: measure(outcomes.take(outcomes.kind == kind)) for kind in types_of(outcomes)}


def render(network: nn.Module, configuration: Mapping[str, Any], params: Params) -> str:
    """Return the card: the template, filled with figures and tables."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    metrics = json.loads(METRICS_FILE.read_text())
    point = OperatingPoint(**metrics["operating_point"])
    outcomes, types = outcomes_at(read_results(RESULTS_FILE), point), params.data_load.types
    by_type = figures_by_type(outcomes)
    columns = {"test part": metrics.get("test") or metrics["test_leaky"]}
    doubtful = [] if params.data_load.table else doubtful_images()
    if not params.data_load.table:
        certain = outcomes.take(~np.isin(outcomes.image, doubtful))
        columns[f"without its {len(outcomes) - len(certain)} doubtful images"] = measure(certain)
    return TEMPLATE_FILE.read_text().format(
        type_count=len(types),
        types=", ".join(types),
        network=network_text(configuration["train"], parameters, multiply_adds(network)),
        stride=STRIDE,
        data=data_text(read_index(), read_split()),
        data_digest=configuration["data_digest"],
        source=source_text(params.data_load.table, len(doubtful)),
        split=split_text(configuration["split"]),
        score_pixels=SCORE_PIXELS,
        threshold=point.threshold,
        usual_threshold=USUAL_THRESHOLD,
        alarm_score=point.alarm_score,
        false_alarm_rate=f"{100 * params.evaluate.false_alarm_rate:g} %",
        figures=figures_text(columns, types),
        by_type=by_type_text(by_type),
        weakest=weakest_text(by_type),
        misses=misses_text(outcomes),
        augmentation=augmentation_text(configuration["train"]),
        robustness=table_text(read_curves()),
        parity=parity_text(json.loads(PARITY_FILE.read_text())),
        precisions=precisions_text(json.loads(PRECISIONS_FILE.read_text()), types),
        commit=configuration["commit"],
        provenance=provenance_text(configuration),
    )


def main() -> None:
    """Run the stage."""
    check_packages()
    params = load_params()
    network, configuration = load_model()
    refuse_missing()
    CARD_FILE.parent.mkdir(exist_ok=True)
    write_aside(CARD_FILE, render(network, configuration, params))


if __name__ == "__main__":
    sys.exit(exit_status(main))
