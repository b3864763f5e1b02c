"""How int8 doubles a feature map and joins the encoder's features to it: channels last, whole places copied.

ONNX Runtime's Resize copies 8-bit numbers one by one, which took a tenth of the graph's time. With the channels last a
place's numbers lie side by side, and a tensor that is joined to itself repeats columns or rows.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]  # (N, C, H, W) → (N, H, W, C), and back
WIDE, HIGH, JOINED = "_wide", "_high", "_joined"  # how the names of the nodes end, after the Resize's


def with_copied_places(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that gives the same numbers, without the decoder's Resizes: each doubles for a Concat behind it.

    The graph must know the channels of what is doubled.
    """
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    resizes = {node.output[0]: node for node in model.graph.node if node.op_type == "Resize"}
    joined = resizes.keys() & {node.input[0] for node in model.graph.node if node.op_type == "Concat"}
    del copied.graph.node[:]
    for node in model.graph.node:
        if node.op_type == "Concat" and node.input[0] in joined:
            _join(copied.graph, resizes[node.input[0]], node)
        elif node.output[0] not in joined:
            copied.graph.node.append(node)
    return copied


def round_before_copying(model: onnx.ModelProto) -> None:
    """Give copied places the scale of the Concat that they end in, in a quantized graph, in place.

    So each place is rounded to it once, before it is copied, and not each copy. The joined numbers stay the same.
    """
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    roundings = {node.input[0]: node.input[1:3] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    found = {node.name: roundings[node.output[0]] for node in model.graph.node if node.output[0] in roundings}
    for joined in [name for name in found if name.endswith(JOINED)]:
        for copies in (WIDE, HIGH):
            for source, target in zip(found[joined], found[joined.removesuffix(JOINED) + copies], strict=True):
                values[target].CopyFrom(values[source])
                values[target].name = target


def _join(graph: onnx.GraphProto, resize: onnx.NodeProto, concat: onnx.NodeProto) -> None:
    """Add what replaces both nodes: low (N, C, H, W), skip (N, S, 2 H, 2 W) → (N, C + S, 2 H, 2 W)."""
    low, (_, skip), (joined,), name = resize.input[0], concat.input, concat.output, resize.name

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    places = add("Transpose", [low], f"{name}_places", perm=LAST)  # (N, H, W, C)
    wide = add("Concat", [places, places], f"{name}{WIDE}", axis=3)  # (N, H, W, 2 C): each place twice
    high = add("Concat", [wide, wide], f"{name}{HIGH}", axis=2)  # (N, H, 2 W, 2 C): each row twice
    sides = numpy_helper.from_array(np.asarray([0, -1, 0, _channels(graph, low)], np.int64), f"{name}_sides")
    graph.initializer.append(sides)  # 0 keeps N and 2 W
    doubled = add("Reshape", [high, sides.name], f"{name}_doubled")  # (N, 2 H, 2 W, C)
    beside = add("Transpose", [skip], f"{name}_beside", perm=LAST)
    both = add("Concat", [doubled, beside], f"{name}{JOINED}", axis=3)
    add("Transpose", [both], joined, perm=FIRST)


def _channels(graph: onnx.GraphProto, name: str) -> int:
    (value,) = (value for value in graph.value_info if value.name == name)
    return int(value.type.tensor_type.shape.dim[1].dim_value)
