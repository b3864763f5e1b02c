"""How far the fp16 graph's answers on the GPU are from the CPU's and from torch's in float32, over the test images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import onnxruntime

from benchmarks.gpu.scope import Scope
from benchmarks.gpu.sessions import open_gpu_session
from tiles.operating_point import OperatingPoint
from training.dataset.samples import load_part
from training.evaluation.predict import Prediction, predict
from training.files import GPU_GRAPH_FILE
from training.graphs.parity import compare
from training.graphs.session import open_session, predict_onnx
from training.network.mixed_precision import whole_float32
from training.network.served import ServedModel
from training.network.weights import load_model, load_novelty
from training.params import load_params

SMALL_IMAGES = 2
KEPT = ("grey_levels", "differing_mask_pixels", "differing_type_pixels", "novelty")


def measure(scope: Scope) -> dict[str, Any]:
    """Return the differences between each two of them, and which operators of the graph run on which processor."""
    samples = load_part("test", load_params())[: scope.size(None, small=SMALL_IMAGES)]
    session = open_gpu_session(scope)
    told = session.get_modelmeta().custom_metadata_map
    point = OperatingPoint(int(told["model.threshold"]), float(told["model.alarm_score"]))
    gpu = predict_onnx(session, samples, description="graph, GPU")
    cpu = predict_onnx(open_session(GPU_GRAPH_FILE), samples, description="graph, CPU")
    model = ServedModel(load_model()[0], load_novelty())
    torch_cpu = list(predict(model, samples, description="torch, CPU"))
    model.to(scope.device)
    torch_tf32 = list(predict(model, samples, description="torch, GPU"))
    with whole_float32():
        torch_gpu = list(predict(model, samples, description="torch, GPU, float32"))

    def difference(expected: Sequence[Prediction], actual: Sequence[Prediction]) -> dict[str, Any]:
        found = asdict(compare(expected, actual, point))
        return {name: found[name] for name in KEPT}

    return {
        "images": len(samples),
        "graph_gpu_to_graph_cpu": difference(cpu, gpu),
        "graph_gpu_to_torch_cpu": difference(torch_cpu, gpu),
        "torch_gpu_to_torch_cpu": difference(torch_cpu, torch_gpu),  # as the stage evaluate computes on a GPU
        "torch_gpu_tf32_to_torch_cpu": difference(torch_cpu, torch_tf32),
        "operators": _operators(session),
    }


def _operators(session: onnxruntime.InferenceSession) -> dict[str, dict[str, int]]:
    """Return how many operators of each kind each execution provider runs."""
    found: dict[str, Counter[str]] = {}
    for group in session.get_provider_graph_assignment_info():
        found.setdefault(group.ep_name, Counter()).update(node.op_type for node in group.get_nodes())
    return {name: dict(counts.most_common()) for name, counts in found.items()}
