"""Stage quantize: the float32 graph → int8 and fp16, measured; the model repository, with the precision that is chosen.

int8 is served on CPUs, and fp16 on GPUs, where they keep within the limits of params.yaml; otherwise float32 is, and
export/precisions.json says why. Nothing else writes into the model repository.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.calibration import choose_tiles
from training.check_packages import check_packages
from training.checkpoint import load_model, write_aside
from training.data_split import read_index
from training.dataset import Sample, load_part
from training.errors import exit_status
from training.export import FOLDER, GRAPH_FILE
from training.gate import Quality, losses, measure_quality, refusals, speed_up
from training.params import Params, load_params
from training.precision_graphs import to_fp16, to_int8
from training.repository import label, model_parameters, publish, render_config, render_gpu_configs

GRAPH_FILES = {"fp32": GRAPH_FILE, **{name: FOLDER / f"{name}.onnx" for name in ("int8", "fp16")}}
PRECISIONS_FILE = FOLDER / "precisions.json"


def make_graphs(params: Params, folder: Path) -> dict[str, Path]:
    """Make int8 and fp16 of the float32 graph in a folder, and return the path of each precision there."""
    graphs = {name: folder / path.name for name, path in GRAPH_FILES.items()}
    graphs["fp32"].write_bytes(GRAPH_FILE.read_bytes())
    tiles = choose_tiles(load_part("train", params), params.quantize.calibration_tiles, seed=params.base.seed)
    to_int8(graphs["fp32"], graphs["int8"], tiles, params.quantize)
    to_fp16(graphs["fp32"], graphs["fp16"])
    return graphs


def compare(graphs: Mapping[str, Path], parts: Mapping[str, Sequence[Sample]], params: Params) -> dict[str, Any]:
    """Measure each precision, and say of int8 and fp16 what each loses and gains, and why it is refused if it is."""
    rate = params.evaluate.false_alarm_rate
    qualities = {name: measure_quality(graph, parts, rate) for name, graph in graphs.items()}
    timed = list(parts["validation"])[:: max(1, len(parts["validation"]) // params.quantize.timed_tiles)]
    speeds = {"int8": speed_up(graphs["fp32"], graphs["int8"], timed), "fp16": None}  # fp16's gain is a GPU's
    return {
        name: {"bytes": graphs[name].stat().st_size, **quality.figures()}
        | ({} if name == "fp32" else _verdict(qualities["fp32"], quality, speeds[name], params))
        for name, quality in qualities.items()
    }


def _verdict(reference: Quality, quality: Quality, gained: float | None, params: Params) -> dict[str, Any]:
    lost = losses(reference, quality)
    speed = {} if gained is None else {"speed_up": round(gained, 2)}
    return {"dice_loss": lost, **speed, "refused": refusals(lost, gained, params.quantize)}


def serve(found: Mapping[str, Any], params: Params) -> dict[str, str]:
    """Return which precision is served on each kind of processor, and tell of those that are refused."""
    for name in ("int8", "fp16"):
        for reason in found[name]["refused"]:
            print(f"{name} is not served: {reason}")  # noqa: T201
    cpu = "fp32" if found["int8"]["refused"] else params.quantize.serve
    return {"cpu": cpu, "gpu": "fp32" if found["fp16"]["refused"] else "fp16"}


def main() -> None:
    """Run the stage."""
    check_packages()
    params = load_params()
    _, configuration = load_model()
    part = "test_leaky" if params.data_split.method == "random" else "test"
    parts = {"validation": load_part("validation", params), part: load_part("test", params)}
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        graphs = make_graphs(params, Path(folder))
        found = compare(graphs, parts, params)
        served = serve(found, params)
        parameters = {
            name: model_parameters(configuration, params.data_load.types, name, found[name]) for name in graphs
        }
        for name, graph in graphs.items():
            label(graph, parameters[name])
        publish(
            graphs[served["cpu"]],
            render_config(parameters[served["cpu"]], params.export.max_batch_size),
            graphs[served["gpu"]],
            render_gpu_configs(parameters[served["gpu"]], params.export.max_batch_size, read_index()),
        )
        for name in ("int8", "fp16"):
            graphs[name].replace(GRAPH_FILES[name])
    write_aside(PRECISIONS_FILE, json.dumps({"served": served, **found}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(exit_status(main))
