"""A small graph that keeps the served contract: the brighter an image, the more of a Crack, and the more novel."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIGNATURE = ["batch", 1, "height", "width"]
FILTERS = 8


def tiny_graph(*, slope=20.0, layers=1):
    """One smoothing convolution or more, an activation each, and the head. slope: of the logit over grey, -1–1."""
    constants = {
        "middle": np.float32(127.5),
        "six": np.float32(6),
        "zero": np.float32(0),
        "levels": np.float32(255),
        "crack": np.float32(3),
        "summed": np.ones((FILTERS, 1), np.float32),
        "spread": np.full((FILTERS, 1, 3, 3), 1 / 9, np.float32) * np.linspace(0.5, 1.5, FILTERS)[:, None, None, None],
        **{
            f"smooth_{layer}": np.full((FILTERS, FILTERS, 3, 3), 1 / (9 * FILTERS), np.float32)
            for layer in range(layers)
        },
        "head": np.full((1, FILTERS, 3, 3), slope / (9 * FILTERS), np.float32),
        "bias": np.full(1, -slope, np.float32),
    }
    same = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["grey", "middle"], ["scaled"], "scale"),
        helper.make_node("Conv", ["scaled", "spread"], ["features_0"], "conv_0", **same),
    ]
    for layer in range(layers):
        nodes += [
            helper.make_node("Clip", [f"features_{layer}", "zero", "six"], [f"active_{layer}"], f"clip_{layer}"),
            helper.make_node(
                "Conv", [f"active_{layer}", f"smooth_{layer}"], [f"features_{layer + 1}"], f"conv_{layer + 1}", **same
            ),
        ]
    nodes += [
        helper.make_node("Conv", [f"features_{layers}", "head", "bias"], ["logit"], "head", **same),
        helper.make_node("Sigmoid", ["logit"], ["likely"], "sigmoid"),
        helper.make_node("Mul", ["likely", "levels"], ["level"], "level"),
        helper.make_node("Round", ["level"], ["rounded"], "round"),
        helper.make_node("Cast", ["rounded"], ["probability"], "probability", to=TensorProto.UINT8),
        helper.make_node("Mul", ["likely", "zero"], ["none"], "none"),
        helper.make_node("Add", ["none", "crack"], ["always"], "always"),
        helper.make_node("Cast", ["always"], ["type"], "type", to=TensorProto.UINT8),
        helper.make_node("GlobalAveragePool", ["active_0"], ["pooled"], "pooled"),
        helper.make_node("Flatten", ["pooled"], ["description"], "description"),
        helper.make_node("MatMul", ["description", "summed"], ["novelty"], "novelty"),
    ]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.UINT8, SIGNATURE)
        for name in ("image", "probability", "type")
    }
    values["novelty"] = helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["batch", 1])
    weights = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [values.pop("image")], list(values.values()), weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
