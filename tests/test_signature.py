"""The published graph against config.pbtxt: each difference is named before Triton would find it."""

import re

import onnx
import pytest
from onnx import TensorProto, helper
from tiny_graph import tiny_graph
from training_data import ROOT

from training.errors import ExportError
from training.graphs.proof import with_proof
from training.graphs.repository import render_config
from training.graphs.signature import parse_config, refuse_other_signature

PARAMETERS = {"model.threshold": "128", "model.note": 'a "quoted" \\ word'}
CONFIG = render_config(PARAMETERS, max_batch_size=8)
SIGNATURE = ["batch", 1, "height", "width"]


def graph_with(**changes):
    """A graph of the published signature, with some tensors changed: image={"shape": […]}, type=None."""
    tensors = {name: {"name": name, "dtype": TensorProto.UINT8, "shape": SIGNATURE} for name in TENSORS} | REST
    values = {}
    for name, tensor in tensors.items():
        change = changes.get(name, {})
        if change is not None:
            kept = tensor | change
            values[name] = helper.make_tensor_value_info(kept["name"], kept["dtype"], kept["shape"])
    image = values["image"].name
    outputs = [value for name, value in values.items() if name != "image"]
    nodes = [helper.make_node("Cast", [image], [o.name], to=o.type.tensor_type.elem_type) for o in outputs]
    opset = helper.make_opsetid("", 18)
    return helper.make_model(helper.make_graph(nodes, "tiny", [values["image"]], outputs), opset_imports=[opset])


TENSORS = ("image", "probability", "type")
REST = {
    "novelty": {"name": "novelty", "dtype": TensorProto.FLOAT, "shape": ["batch", 1]},
    "fingerprint": {"name": "fingerprint", "dtype": TensorProto.INT32, "shape": ["batch", "runs", 2]},
    "model": {"name": "model", "dtype": TensorProto.UINT8, "shape": ["batch", 1024]},
}


def test_a_graph_of_the_stated_signature_passes():
    graph, _ = with_proof(tiny_graph(), PARAMETERS)
    onnx.checker.check_model(graph, full_check=True)
    refuse_other_signature(graph, CONFIG)
    refuse_other_signature(graph_with(), CONFIG)


def test_weights_listed_as_inputs_are_not_part_of_the_signature():
    graph = graph_with()
    graph.graph.initializer.append(helper.make_tensor("weight", TensorProto.FLOAT, [1], [0.5]))
    graph.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, [1]))
    refuse_other_signature(graph, CONFIG)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": {"name": "picture"}}, ["input image: expected", "input picture: expected None"]),
        ({"image": {"dtype": TensorProto.FLOAT}}, ["input image: .*uint8.*found .*float32"]),
        ({"image": {"shape": [2, 1, "height", "width"]}}, [r"input image: .*found .*\[2, 1, -1, -1\]"]),
        ({"image": {"shape": ["batch", 1, 256, "width"]}}, [r"input image: .*found .*\[-1, 1, 256, -1\]"]),
        ({"image": {"shape": ["batch", 3, "height", "width"]}}, [r"input image: .*found .*\[-1, 3, -1, -1\]"]),
        ({"image": {"shape": ["batch", "channels", "height", "width"]}}, [r"input image: .*\[-1, -1, -1, -1\]"]),
        ({"type": {"dtype": TensorProto.INT64}}, ["output type: .*uint8.*found .*int64"]),
        ({"type": {"shape": ["batch", "height", "width"]}}, [r"output type: .*found .*\[-1, -1, -1\]"]),
        ({"type": None}, ["output type: expected .*found None"]),
        ({"fingerprint": {"shape": ["batch", 8]}}, [r"output fingerprint: expected .*-1, -1, 2.*found .*\[-1, 8\]"]),
        ({"model": {"dtype": TensorProto.INT8}}, ["output model: .*uint8.*found .*int8"]),
        ({"probability": {"shape": [2, 1, "height", "width"]}, "type": None}, ["output probability", "output type"]),
    ],
    ids=lambda value: None if isinstance(value, list) else "-".join(value),
)
def test_each_difference_is_named(changes, told):
    with pytest.raises(ExportError) as refusal:
        refuse_other_signature(graph_with(**changes), CONFIG)
    said = str(refusal.value).removeprefix("the graph does not match config.pbtxt: ").split("; ")
    assert len(told) == len(said), said
    for pattern, words in zip(told, said, strict=True):
        assert re.search(pattern, words)


def test_a_further_output_is_named():
    graph = graph_with()
    graph.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, SIGNATURE))
    with pytest.raises(ExportError, match=r"output logits: expected None"):
        refuse_other_signature(graph, CONFIG)


@pytest.mark.parametrize(
    "text", ["max_batch_sise: 8", 'max_batch_size: "8"', "input [ { name: 3 } ]", "backend", "input { dims: [ x ] }"]
)
def test_a_config_that_triton_could_not_read_is_refused_with_the_file_to_mend(text):
    with pytest.raises(
        ExportError, match=r"does not fit Triton's schema: .*correct training/graphs/config\.pbtxt\.template"
    ):
        parse_config(CONFIG + "\n" + text)


def test_the_rendered_template_says_what_the_model_is():
    config = parse_config(CONFIG)
    assert ("segmenter", "onnxruntime", 8) == (config.name, config.backend, config.max_batch_size)
    assert PARAMETERS == {name: value.string_value for name, value in config.parameters.items()}
    assert ["image"] == [tensor.name for tensor in config.input]
    assert ["probability", "type", "novelty", "fingerprint", "model"] == [tensor.name for tensor in config.output]
    assert not config.HasField("dynamic_batching")


def test_the_template_is_not_what_triton_reads_by_itself():
    with pytest.raises(ExportError):
        parse_config((ROOT / "training/graphs/config.pbtxt.template").read_text())
