"""A small real model for tests of the inference server: y = x + x, which fails where a row's length is odd."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

CONFIG = """
name: "doubler"
backend: "onnxruntime"
max_batch_size: 4
input [ { name: "x", data_type: TYPE_FP32, dims: [ -1 ] } ]
output [ { name: "y", data_type: TYPE_FP32, dims: [ -1 ] } ]
dynamic_batching { preferred_batch_size: 4, max_queue_delay_microseconds: 2000000 }
model_warmup [
  { name: "one", batch_size: 4, inputs { key: "x" value: { data_type: TYPE_FP32, dims: [ 4 ], zero_data: true } } }
]
parameters { key: "model.note" value: { string_value: "metadata is passed by" } }
"""


def write_model(models: Path, config: str = CONFIG) -> Path:
    """Write a model repository with `doubler` in it."""
    shape = ["batch", "length"]
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "pairs"], ["in_pairs"]),
            helper.make_node("Reshape", ["in_pairs", "rows"], ["again"]),
            helper.make_node("Add", ["again", "again"], ["y"]),
        ],
        "doubler",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor("pairs", TensorProto.INT64, [3], [0, -1, 2]),
            helper.make_tensor("rows", TensorProto.INT64, [2], [0, -1]),
        ],
    )
    version = models / "doubler" / "1"
    version.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, version / "model.onnx")
    (models / "doubler" / "config.pbtxt").write_text(config)
    return models
