"""int8 and fp16 of a graph: what is converted, what stays, and that the answers stay nearly the same."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tiny_graph import tiny_graph
from training_data import params_with, real_sample, sample_names

from training.errors import ExportError
from training.graphs.quantization import to_fp16, to_int8
from training.graphs.session import open_session, run

NAMES = [sample_names(name)[0] for name in ("Blowhole", "Crack", "Free")]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "fp32.onnx"
    onnx.save(tiny_graph(), path)
    return path


def int8(source, folder, **knobs):
    chosen = {"excluded_nodes": []} | knobs
    params = params_with(**{f"quantize__{name}": value for name, value in chosen.items()}).quantize
    target = folder / "int8.onnx"
    return to_int8(source, target, [real_sample(name) for name in NAMES], params), target


def probability(path):
    return run(open_session(path), real_sample(NAMES[1]).image)[0].astype(int)


def weights(model):
    return {tensor.name: tensor for tensor in model.graph.initializer}


@pytest.mark.parametrize("layout", ["QDQ", "QOperator"])
def test_int8_answers_nearly_the_same_bytes(source, tmp_path, layout):
    _, target = int8(source, tmp_path, format=layout)
    difference = np.abs(probability(source) - probability(target))
    assert 0 < difference.max() <= 8
    assert 50 < np.ptp(probability(source)), "the test's image must be told apart"


def test_int8_has_signed_weights_with_a_scale_for_each_channel_and_unsigned_activations(source, tmp_path):
    model, _ = int8(source, tmp_path)
    found = weights(model)
    assert (TensorProto.INT8, [8]) == (found["smooth_0_quantized"].data_type, list(found["smooth_0_scale"].dims))
    assert TensorProto.UINT8 == found["active_0_zero_point"].data_type


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_the_methods_that_make_histograms_take_images_of_any_size(source, tmp_path, method):
    _, target = int8(source, tmp_path, calibration_method=method)
    assert 30 >= np.median(np.abs(probability(source) - probability(target)))


def test_int8_leaves_what_follows_the_head_in_float32(source, tmp_path):
    model, _ = int8(source, tmp_path)
    assert {"level", "rounded", "always", "none"} <= {name for node in model.graph.node for name in node.output}
    assert not [name for name in weights(model) if name.startswith(("level_", "none_", "always_"))]


def test_an_excluded_node_stays_in_float32(source, tmp_path):
    model, _ = int8(source, tmp_path, excluded_nodes=["conv_0", "he.*"])
    assert {"spread", "head"} <= weights(model).keys()
    assert "smooth_0_quantized" in weights(model)


def test_an_excluded_node_keeps_its_activation_in_float32(source, tmp_path):
    model, _ = int8(source, tmp_path, excluded_nodes=["conv_0"])
    (activation,) = (node for node in model.graph.node if node.name == "clip_0")
    assert "features_0" == activation.input[0]


def test_a_pattern_that_matches_no_node_is_refused_by_name(source, tmp_path):
    with pytest.raises(ExportError, match=r"quantize\.excluded_nodes: 'conv_9' matches no node"):
        int8(source, tmp_path, excluded_nodes=["conv_9"])


def test_reduced_range_keeps_weights_within_seven_bits(source, tmp_path):
    ranges = {}
    for reduced in (False, True):
        model, _ = int8(source, tmp_path, reduce_range=reduced)
        ranges[reduced] = np.abs(onnx.numpy_helper.to_array(weights(model)["smooth_0_quantized"]).astype(int)).max()
    assert ranges[True] <= 64 < ranges[False]


def test_fp16_halves_the_weights_and_answers_nearly_the_same_bytes(source, tmp_path):
    model = to_fp16(source, tmp_path / "fp16.onnx")
    assert TensorProto.FLOAT16 == weights(model)["smooth_0"].data_type
    assert 2 >= np.abs(probability(source) - probability(tmp_path / "fp16.onnx")).max()


def test_fp16_casts_nothing_down_and_up_again_between_float32_nodes(source, tmp_path):
    graph = to_fp16(source, tmp_path / "fp16.onnx").graph
    nodes = [node for node in graph.node if node.output[0] not in {output.name for output in graph.output}]
    down = {node.output[0] for node in nodes if node.op_type == "Cast" and TensorProto.FLOAT16 == node.attribute[0].i}
    assert down, "the network computes in float16"
    assert not [node.name for node in nodes if node.op_type == "Cast" and node.input[0] in down]


def test_what_measures_the_novelty_stays_in_float32(source, tmp_path):
    for model in (to_fp16(source, tmp_path / "fp16.onnx"), int8(source, tmp_path)[0]):
        assert TensorProto.FLOAT == weights(model)["summed"].data_type


def test_the_signature_stays(source, tmp_path):
    expected = dict.fromkeys(("image", "probability", "type"), TensorProto.UINT8) | {"novelty": TensorProto.FLOAT}
    for model in (to_fp16(source, tmp_path / "fp16.onnx"), int8(source, tmp_path)[0]):
        tensors = (*model.graph.input, *model.graph.output)
        assert expected == {tensor.name: tensor.type.tensor_type.elem_type for tensor in tensors}
