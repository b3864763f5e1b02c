"""Stage export: weights → export/fp32.onnx, replaced only if the new graph is the evaluated network."""

import json
import sys
from dataclasses import asdict

import onnx

from host.files import emptied_folder, write_whole
from training.dataset.samples import load_part
from training.errors import exit_status
from training.evaluation.outputs import read_operating_point
from training.files import GRAPH_FILE, PARITY_FILE, WORK_FOLDER
from training.graphs.checked import keep_graph
from training.graphs.onnx_export import export_graph
from training.graphs.parity import measure_parity, refuse_too_far
from training.network.served import ServedModel
from training.network.weights import load_model, load_novelty
from training.packages import check_packages
from training.params import load_params
from training.runs import refuse_unfit_inputs


def main() -> None:
    """Run the stage."""
    check_packages()
    refuse_unfit_inputs()
    params = load_params()
    network, _ = load_model()
    point = read_operating_point()
    with emptied_folder(WORK_FOLDER) as folder:
        path = folder / GRAPH_FILE.name
        graph = export_graph(path, timeout_s=params.export.shape_solver_timeout_s)
        onnx.checker.check_model(graph, full_check=True)
        parity = measure_parity(ServedModel(network, load_novelty()), path, load_part("test", params), point)
        figures = asdict(parity) | {"dice_difference": parity.dice_difference}
        write_whole(PARITY_FILE, json.dumps(figures, indent=2) + "\n")
        refuse_too_far(parity, params.export)
        keep_graph(path)


if __name__ == "__main__":
    sys.exit(exit_status(main))
