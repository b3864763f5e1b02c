"""What a served graph says beside the segmentation: whose answer this is, and which model made it.

Two outputs are added to a graph of any precision, after it was converted, so no conversion touches them:

    fingerprint  INT32 [N, 3 · H · W / 1024, 2]  sums of input and outputs: `tiles.fingerprint` has the twin
    model        UINT8 [N, 1024]                 the model's label, a constant: `tiles.label`
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiles.fingerprint import RUN, SUMS, weights
from tiles.label import LABEL_BYTES, encode_label
from training.errors import ExportError
from training.graphs.tensors import FINGERPRINT, INPUT, LABEL, OUTPUTS

PREFIX = "proof_"  # of every node and value that is added


def with_proof(model: onnx.ModelProto, parameters: Mapping[str, str]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return a copy of a graph that proves its answers, and its parameters together with `model.digest`.

    The digest is of the network and of the parameters: two models that judge differently have different ones.

    Raises: ExportError, when the label is too long.
    """
    proven = onnx.ModelProto()
    proven.CopyFrom(model)
    del proven.metadata_props[:]
    _remove_proof(proven.graph)
    said = json.dumps(dict(parameters), sort_keys=True).encode()
    digest = hashlib.sha256(proven.SerializeToString(deterministic=True) + said).hexdigest()
    all_parameters = {**parameters, "model.digest": digest}
    try:
        label = encode_label(all_parameters)
    except ValueError as error:
        raise ExportError(str(error)) from None
    _add_fingerprint(proven.graph)
    _add_label(proven.graph, label)
    helper.set_model_props(proven, all_parameters)
    return proven, all_parameters


def _remove_proof(graph: onnx.GraphProto) -> None:
    for kept in (graph.node, graph.initializer):
        for found in [each for each in kept if each.name.startswith(PREFIX)]:
            kept.remove(found)
    for output in [each for each in graph.output if each.name in (FINGERPRINT, LABEL)]:
        graph.output.remove(output)


def _add_fingerprint(graph: onnx.GraphProto) -> None:
    """Add two sums of each run of pixels: one product of bytes with constants, which waits for no shape."""
    _constant(graph, "runs_of_pixels", [0, -1, RUN], np.int64)  # 0 keeps N
    _constant(graph, "weights", weights(), np.uint8)
    planes = _node(graph, "Concat", [INPUT, *OUTPUTS], "planes", axis=1)  # (N, 3, H, W)
    runs = _node(graph, "Reshape", [planes, PREFIX + "runs_of_pixels"], "runs")  # (N, 3 · H · W / RUN, RUN)
    graph.node.append(
        helper.make_node("MatMulInteger", [runs, PREFIX + "weights"], [FINGERPRINT], PREFIX + FINGERPRINT)
    )
    graph.output.append(helper.make_tensor_value_info(FINGERPRINT, TensorProto.INT32, [_batch(graph), "runs", SUMS]))


def _add_label(graph: onnx.GraphProto, label: np.ndarray) -> None:
    _constant(graph, "label", label[np.newaxis], np.uint8)  # (1, LABEL_BYTES)
    batch = _node(graph, "Shape", [INPUT], "batch", start=0, end=2)  # [N, 1]
    graph.node.append(helper.make_node("Expand", [PREFIX + "label", batch], [LABEL], PREFIX + LABEL))
    graph.output.append(helper.make_tensor_value_info(LABEL, TensorProto.UINT8, [_batch(graph), LABEL_BYTES]))


def _batch(graph: onnx.GraphProto) -> str:
    (image,) = (value for value in graph.input if value.name == INPUT)
    name: str = image.type.tensor_type.shape.dim[0].dim_param
    return name


def _constant(graph: onnx.GraphProto, name: str, value: object, dtype: type) -> None:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), PREFIX + name))


def _node(graph: onnx.GraphProto, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
    graph.node.append(helper.make_node(kind, inputs, [PREFIX + name], PREFIX + name, **attributes))
    return PREFIX + name
