"""What a served graph says beside the segmentation: whose answer this is, and which model made it.

Two outputs are added to a graph of any precision, after it was converted, so no conversion touches them:

    fingerprint  INT64 [N, 12]    four exact sums of the input and of each output: `tiles.fingerprint` has the twin
    model        UINT8 [N, 1024]  the model's label, a constant: `tiles.label`
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiles.fingerprint import COLUMN_PRIME, LINEARS, ROW_PRIME, SQUARES, SUMS
from tiles.label import LABEL_BYTES, encode_label
from training.errors import ExportError
from training.graphs.tensors import FINGERPRINT, INPUT, LABEL, OUTPUTS

PREFIX = "proof_"  # of every node and value that is added
SUMS_IN_ALL = (1 + len(OUTPUTS)) * SUMS


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
    """Add rows · planes · columns, where each weight is a number of its row or column alone."""
    _constant(graph, "zero", 0)
    _constant(graph, "one", 1)
    _constant(graph, "shape", [0, SUMS_IN_ALL])  # 0 keeps N
    rows = _weights(graph, "rows", axis=2, prime=ROW_PRIME, shape=(2, 1), dtype=TensorProto.DOUBLE)  # (2, H)
    columns = _weights(graph, "columns", axis=3, prime=COLUMN_PRIME, shape=(1, 2), dtype=TensorProto.UINT8)  # (W, 2)
    planes = _node(graph, "Concat", [INPUT, *OUTPUTS], "planes", axis=1)  # (N, 3, H, W)
    by_row = _node(graph, "MatMulInteger", [planes, columns], "by_row")  # (N, 3, H, 2)
    numbers = _node(graph, "Cast", [by_row], "numbers", to=TensorProto.DOUBLE)
    sums = _node(graph, "MatMul", [rows, numbers], "sums")  # (N, 3, 2, 2)
    integers = _node(graph, "Cast", [sums], "integers", to=TensorProto.INT64)
    graph.node.append(helper.make_node("Reshape", [integers, PREFIX + "shape"], [FINGERPRINT], PREFIX + FINGERPRINT))
    graph.output.append(helper.make_tensor_value_info(FINGERPRINT, TensorProto.INT64, [_batch(graph), SUMS_IN_ALL]))


def _weights(graph: onnx.GraphProto, name: str, *, axis: int, prime: int, shape: tuple[int, int], dtype: int) -> str:
    """Add the weights of the places along an axis; `shape` puts the two of each place into columns or rows."""
    _constant(graph, f"{name}_squares", np.reshape(SQUARES, shape))
    _constant(graph, f"{name}_linears", np.reshape(LINEARS, shape))
    _constant(graph, f"{name}_prime", prime)
    _constant(graph, f"{name}_axis", [shape.index(2)])
    length = _node(graph, "Shape", [INPUT], f"{name}_length", start=axis, end=axis + 1)
    number = _node(graph, "Squeeze", [length], f"{name}_number")
    range_ = _node(graph, "Range", [PREFIX + "zero", number, PREFIX + "one"], f"{name}_range")
    places = _node(graph, "Unsqueeze", [range_, PREFIX + f"{name}_axis"], f"{name}_places")
    square = _node(graph, "Mul", [places, places], f"{name}_square")
    quadratic = _node(graph, "Mul", [square, PREFIX + f"{name}_squares"], f"{name}_quadratic")
    linear = _node(graph, "Mul", [places, PREFIX + f"{name}_linears"], f"{name}_linear")
    both = _node(graph, "Add", [quadratic, linear], f"{name}_both")
    rest = _node(graph, "Mod", [both, PREFIX + f"{name}_prime"], f"{name}_rest")
    weights = _node(graph, "Add", [rest, PREFIX + "one"], f"{name}_weights")
    return _node(graph, "Cast", [weights], name, to=dtype)


def _add_label(graph: onnx.GraphProto, label: np.ndarray) -> None:
    _constant(graph, "label", label[np.newaxis], np.uint8)  # (1, LABEL_BYTES)
    _constant(graph, "label_length", [LABEL_BYTES])
    batch = _node(graph, "Shape", [INPUT], "batch", start=0, end=1)
    shape = _node(graph, "Concat", [batch, PREFIX + "label_length"], "label_shape", axis=0)
    graph.node.append(helper.make_node("Expand", [PREFIX + "label", shape], [LABEL], PREFIX + LABEL))
    graph.output.append(helper.make_tensor_value_info(LABEL, TensorProto.UINT8, [_batch(graph), LABEL_BYTES]))


def _batch(graph: onnx.GraphProto) -> str:
    (image,) = (value for value in graph.input if value.name == INPUT)
    name: str = image.type.tensor_type.shape.dim[0].dim_param
    return name


def _constant(graph: onnx.GraphProto, name: str, value: object, dtype: type = np.int64) -> None:
    graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), PREFIX + name))


def _node(graph: onnx.GraphProto, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
    graph.node.append(helper.make_node(kind, inputs, [PREFIX + name], PREFIX + name, **attributes))
    return PREFIX + name
