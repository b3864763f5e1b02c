"""Doubling by copied places: the same numbers as Resize, to the bit, without Resize in the graph."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from training.graphs.doubling import round_before_copying, with_copied_places
from training.graphs.quantization import QUANTIZED

CHANNELS, BESIDE = 3, 2


@pytest.fixture
def decoder_stage():
    """Resize, then Concat, between two activations, as a decoder stage has them."""
    low, skip, joined = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, f"{name}_h", f"{name}_w"])
        for name, channels in (("low", CHANNELS), ("skip", BESIDE), ("joined", CHANNELS + BESIDE))
    )
    scales = numpy_helper.from_array(np.asarray([1, 1, 2, 2], np.float32), "scales")
    rounding = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    nodes = [
        helper.make_node("Relu", ["low"], ["active"], "relu_0"),
        helper.make_node("Resize", ["active", "", "scales"], ["doubled"], "resize_0", **rounding),
        helper.make_node("Concat", ["doubled", "skip"], ["both"], "concat_0", axis=1),
        helper.make_node("Relu", ["both"], ["joined"], "relu_1"),
    ]
    graph = helper.make_graph(nodes, "stage", [low, skip], [joined], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def answer(model, **tensors):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, tensors)[0]


@pytest.mark.parametrize(("count", "height", "width"), [(1, 1, 1), (1, 2, 5), (3, 4, 3)])
def test_copied_places_give_the_numbers_of_resize(decoder_stage, count, height, width):
    rng = np.random.default_rng(0)
    low = rng.standard_normal((count, CHANNELS, height, width), np.float32)
    skip = rng.standard_normal((count, BESIDE, 2 * height, 2 * width), np.float32)
    expected = answer(decoder_stage, low=low, skip=skip)
    copied = with_copied_places(decoder_stage)
    onnx.checker.check_model(copied, full_check=True)
    np.testing.assert_array_equal(expected, answer(copied, low=low, skip=skip))


def test_no_resize_is_left_and_the_given_graph_stays_as_it_was(decoder_stage):
    before = decoder_stage.SerializeToString(deterministic=True)
    assert "Resize" not in [node.op_type for node in with_copied_places(decoder_stage).graph.node]
    assert before == decoder_stage.SerializeToString(deterministic=True)


class Tensors(CalibrationDataReader):
    def __init__(self, *tensors):
        self.left = list(tensors)

    def get_next(self):
        return self.left.pop(0) if self.left else None


def test_places_are_rounded_once_before_they_are_copied_and_the_numbers_stay(decoder_stage, tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "low": rng.random((2, CHANNELS, 4, 4), np.float32),
        "skip": 10 * rng.standard_normal((2, BESIDE, 8, 8), np.float32),
    }
    target = tmp_path / "int8.onnx"
    copied = with_copied_places(decoder_stage)
    quantize_static(
        copied, target, Tensors(tensors), activation_type=QuantType.QUInt8, op_types_to_quantize=list(QUANTIZED)
    )
    quantized = onnx.load(target)
    expected, before = answer(quantized, **tensors), scales(quantized)
    round_before_copying(quantized)
    after = scales(quantized)
    np.testing.assert_array_equal(expected, answer(quantized, **tensors))
    assert before["resize_0_wide"] < before["resize_0_joined"] == after["resize_0_wide"] == after["resize_0_high"]


def scales(model):
    """The scale of each node's quantized output, by the node's name."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {
        node.input[0]: float(values[node.input[1]]) for node in model.graph.node if node.op_type == "QuantizeLinear"
    }
    return {node.name: found[node.output[0]] for node in model.graph.node if node.output[0] in found}
