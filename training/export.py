"""Stage export: weights → the network as an ONNX graph in float32, replaced only when it is the evaluated network."""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import onnx

from tiles.operating_point import OperatingPoint
from training.check_packages import check_packages
from training.checkpoint import load_model, write_aside
from training.dataset import load_part
from training.deployed import DeployedSegmenter
from training.errors import exit_status
from training.evaluate import read_metrics
from training.onnx_graph import export_graph
from training.params import load_params
from training.parity import compare, refuse_too_far

FOLDER = Path("export")
GRAPH_FILE = FOLDER / "fp32.onnx"
PARITY_FILE = FOLDER / "parity.json"


def main() -> None:
    """Run the stage."""
    check_packages()
    params = load_params()
    network, _ = load_model()
    point = OperatingPoint(**read_metrics()["operating_point"])
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        path = Path(folder, GRAPH_FILE.name)
        graph = export_graph(path, timeout_s=params.export.shape_solver_timeout_s)
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, path)
        parity = compare(DeployedSegmenter(network), path, load_part("test", params), point)
        write_aside(
            PARITY_FILE, json.dumps(asdict(parity) | {"dice_difference": parity.dice_difference}, indent=2) + "\n"
        )
        refuse_too_far(parity, params.export)
        path.replace(GRAPH_FILE)


if __name__ == "__main__":
    sys.exit(exit_status(main))
