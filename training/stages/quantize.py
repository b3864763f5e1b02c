"""Stage quantize: float32 graph → int8 and fp16, measured, and the model repository with the chosen precisions.

int8 is served on CPUs, and fp16 on GPUs, if they stay within the limits of params.yaml; otherwise float32 is served,
and export/precisions.json says why. A model that is not good enough leaves everything as it was. Nothing else writes
into the model repository.
"""

import json
import sys

from host.files import emptied_folder, write_whole
from training.dataset.index import read_index
from training.dataset.samples import load_part
from training.errors import exit_status
from training.evaluation.outputs import name_of_test_part
from training.files import PRECISIONS_FILE, WORK_FOLDER
from training.graphs.precisions import PRECISIONS, choose_served, compare_precisions, make_graphs
from training.graphs.publication import admit
from training.graphs.repository import label, model_parameters, publish, render_config, render_gpu_configs
from training.graphs.served_parity import check_served_parity, told_of_skipping
from training.network.weights import load_model
from training.packages import check_packages
from training.params import load_params
from training.progress import progress
from training.runs import refuse_unfit_inputs


def main() -> None:
    """Run the stage."""
    check_packages()
    refuse_unfit_inputs()
    params = load_params()
    _, configuration = load_model()
    parts = {"validation": load_part("validation", params), name_of_test_part(params): load_part("test", params)}
    with emptied_folder(WORK_FOLDER) as folder:
        images = params.quantize.calibration_images + len(PRECISIONS) * sum(map(len, parts.values()))
        with progress("quantize", images):
            graphs = make_graphs(params, folder)
            found = compare_precisions(graphs, parts, params)
        served = choose_served(found, params)
        test = parts[name_of_test_part(params)]
        admission = admit(graphs, served, found, test, params.quantize, data_digest=configuration["data_digest"])
        parameters = {
            name: label(
                graphs[name],
                model_parameters(configuration, params.data_load.types, name, found[name])
                | {"model.title": params.quantize.title}
                | admission
                | told_of_skipping(params.quantize),
            )
            for name in {*served.values()}
        }
        cpu, config = served["cpu"], render_config(parameters[served["cpu"]], params.export.max_batch_size)
        found[cpu]["triton"] = check_served_parity(graphs[cpu], config, test, params.quantize)
        publish(
            graphs[cpu],
            config,
            graphs[served["gpu"]],
            render_gpu_configs(parameters[served["gpu"]], params.export.max_batch_size, read_index()),
        )
    write_whole(PRECISIONS_FILE, json.dumps({"served": served, **found}, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(exit_status(main))
