"""The check that a graph's inputs and outputs match config.pbtxt, as strict as Triton's native ONNX Runtime backend."""

import onnx
from google.protobuf import text_format
from onnx.helper import tensor_dtype_to_np_dtype
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import triton_to_np_dtype

from training.errors import ExportError

SYMBOLIC = -1


def parse_config(text: str) -> "model_config_pb2.ModelConfig":
    """Parse config.pbtxt with Triton's own schema.

    Raises: ExportError, for an unknown field or a value of the wrong kind.
    """
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ExportError(
            f"config.pbtxt does not fit Triton's schema: {error}; correct training/graphs/config.pbtxt.template"
        ) from None


def refuse_other_signature(graph: onnx.ModelProto, config_text: str) -> None:
    """Compare names, types and dimensions of the graph's inputs and outputs with the configuration's.

    Raises: ExportError, naming each difference.
    """
    config = parse_config(config_text)
    initializers = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in initializers]
    problems = _differences("input", inputs, config.input) + _differences("output", graph.graph.output, config.output)
    if problems:
        raise ExportError("the graph does not match config.pbtxt: " + "; ".join(problems))


def _differences(
    kind: str, values: "list[onnx.ValueInfoProto]", tensors: "list[model_config_pb2.ModelInput]"
) -> list[str]:
    found = {value.name: _signature(value) for value in values}
    wanted = {
        tensor.name: (
            triton_to_np_dtype(model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")),
            [SYMBOLIC, *tensor.dims],
        )
        for tensor in tensors
    }
    return [
        f"{kind} {name}: expected {wanted.get(name)}, found {found.get(name)}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]


def _signature(value: onnx.ValueInfoProto) -> tuple[type, list[int]]:
    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else SYMBOLIC for dim in tensor.shape.dim]
    return tensor_dtype_to_np_dtype(tensor.elem_type).type, dims
