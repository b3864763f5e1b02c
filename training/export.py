"""Stage export: weights and figures → the model repository, replaced only when every check has passed.

The graph's metadata and config.pbtxt's parameters say the same: what the model is, where it comes from, how good it is.
"""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

import onnx

from tiles import DEFECT_TYPES
from tiles.operating_point import OperatingPoint
from training.check_packages import check_packages
from training.checkpoint import load_model, write_aside
from training.contract import refuse_broken_contract
from training.dataset import load_part
from training.deployed import DeployedSegmenter
from training.errors import exit_status
from training.evaluate import read_metrics
from training.onnx_graph import export_graph
from training.params import load_params
from training.parity import compare, refuse_too_far
from training.provenance import stage_digest

MODEL_FOLDER = Path("model_repository/segmenter")
CONFIG_FILE = MODEL_FOLDER / "config.pbtxt"
GRAPH_FILE = MODEL_FOLDER / "1" / "model.onnx"
PARITY_FILE = Path("export/parity.json")
TEMPLATE_FILE = Path(__file__).with_name("config.pbtxt.template")


def model_parameters(configuration: dict[str, Any], metrics: dict[str, Any]) -> dict[str, str]:
    """Return what travels with the model; the names start with `model.`, so that no backend takes them for its own."""
    part = "test" if "test" in metrics else "test_leaky"
    figures = metrics[part]
    return {
        "model.threshold": str(metrics["operating_point"]["threshold"]),
        "model.alarm_score": str(metrics["operating_point"]["alarm_score"]),
        "model.types": ",".join(DEFECT_TYPES),
        "model.commit": configuration["commit"],
        "model.commit_dirty": str(configuration["dirty"]).lower(),
        "model.train_lock": stage_digest("train"),
        "model.data_digest": configuration["data_digest"],
        **{
            f"model.{part}.{name}": f"{figures[name]:.4f}"
            for name in ("dice_pooled", "dice_type_mean", "auroc", "type_right_of_found")
        },
        f"model.{part}.free_images_with_an_alarm": f"{figures['free']['any_pixel_share']:.4f}",
    }


def render_config(parameters: dict[str, str], max_batch_size: int) -> str:
    """Render config.pbtxt from its template."""
    lines = [
        f"parameters {{ key: {json.dumps(key)} value: {{ string_value: {json.dumps(value)} }} }}"
        for key, value in parameters.items()
    ]
    return Template(TEMPLATE_FILE.read_text()).substitute(max_batch_size=max_batch_size, parameters="\n".join(lines))


def publish(graph: onnx.ModelProto, config: str) -> None:
    """Replace the graph and its configuration, each by a rename."""
    GRAPH_FILE.parent.mkdir(parents=True, exist_ok=True)
    aside = GRAPH_FILE.with_name("model.onnx.new")
    onnx.save(graph, aside)
    aside.replace(GRAPH_FILE)
    write_aside(CONFIG_FILE, config)


def main() -> None:
    """Run the stage."""
    check_packages()
    params = load_params()
    network, configuration = load_model()
    metrics = read_metrics()
    parameters = model_parameters(configuration, metrics)
    config = render_config(parameters, params.export.max_batch_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        graph = export_graph(path, timeout_s=params.export.shape_solver_timeout_s)
        onnx.checker.check_model(graph, full_check=True)
        refuse_broken_contract(graph, config)
        samples = load_part("test", params)
        parity = compare(DeployedSegmenter(network), path, samples, OperatingPoint(**metrics["operating_point"]))
    PARITY_FILE.parent.mkdir(exist_ok=True)
    write_aside(PARITY_FILE, json.dumps(asdict(parity) | {"dice_difference": parity.dice_difference}, indent=2) + "\n")
    refuse_too_far(parity, params.export)
    onnx.helper.set_model_props(graph, parameters)
    publish(graph, config)


if __name__ == "__main__":
    sys.exit(exit_status(main))
