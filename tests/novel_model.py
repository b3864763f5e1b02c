"""A copy of a model repository whose graph also says how novel an image is: its highest grey value."""

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiles.label import encode_label

PARAMETERS = {"model.tile_alarm_score": "0.5", "model.novelty_limit": "1000"}


def with_novelty(repository: Path, copy: Path) -> Path:
    """Copy a repository; change it only if its model lacks the output."""
    shutil.copytree(repository, copy)
    config = copy / "segmenter/config.pbtxt"
    text = config.read_text()
    if '"novelty"' in text:
        return copy
    path = copy / "segmenter/1/model.onnx"
    model = onnx.load(path)
    parameters = {each.key: each.value for each in model.metadata_props} | PARAMETERS
    helper.set_model_props(model, parameters)
    add_novelty(model.graph)
    (label,) = (each for each in model.graph.initializer if each.name == "proof_label")
    label.CopyFrom(numpy_helper.from_array(encode_label(parameters)[np.newaxis], "proof_label"))
    onnx.save(model, path)
    text = text.replace(
        '  { name: "fingerprint"', '  { name: "novelty", data_type: TYPE_FP32, dims: [ 1 ] },\n  { name: "fingerprint"'
    )
    text = re.sub(
        r'(model\.sha256.*string_value: )"[^"]*"', rf'\1"{hashlib.sha256(path.read_bytes()).hexdigest()}"', text
    )
    for name, value in PARAMETERS.items():
        text += f'parameters {{ key: "{name}" value: {{ string_value: "{value}" }} }}\n'
    config.write_text(text)
    return copy


def add_novelty(graph: onnx.GraphProto) -> None:
    """Add the output FP32 [N, 1]."""
    axes = numpy_helper.from_array(np.array([1, 2, 3], np.int64), "novelty_axes")
    flat = numpy_helper.from_array(np.array([-1, 1], np.int64), "novelty_shape")
    graph.initializer.extend([axes, flat])
    graph.node.extend([
        helper.make_node("Cast", ["image"], ["novelty_grey"], "novelty_grey", to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["novelty_grey", "novelty_axes"], ["novelty_most"], "novelty_most", keepdims=0),
        helper.make_node("Reshape", ["novelty_most", "novelty_shape"], ["novelty"], "novelty_reshape"),
    ])  # fmt: skip
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    graph.output.append(helper.make_tensor_value_info("novelty", TensorProto.FLOAT, [batch, 1]))
