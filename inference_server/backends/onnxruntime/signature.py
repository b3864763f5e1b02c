"""What config.pbtxt may say about an ONNX model, and whether the two agree.

As strict as NVIDIA's native onnxruntime backend, so that a repository which loads here loads there. The native backend
ignores settings that it does not know; this one refuses them by name. Knows ONNX Runtime, not Triton.

Source: README and `CompareDimsSupported` of triton-inference-server/onnxruntime_backend.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

PARAMETERS = ("intra_op_thread_count", "inter_op_thread_count", "execution_mode")
METADATA_PREFIX = "model."
GRAPH_LEVELS = {
    "-1": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "0": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "1": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "2": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
DATATYPES = {  # Triton's name: (ONNX Runtime's, numpy's)
    "TYPE_BOOL": ("tensor(bool)", np.bool_),
    "TYPE_UINT8": ("tensor(uint8)", np.uint8),
    "TYPE_UINT16": ("tensor(uint16)", np.uint16),
    "TYPE_UINT32": ("tensor(uint32)", np.uint32),
    "TYPE_UINT64": ("tensor(uint64)", np.uint64),
    "TYPE_INT8": ("tensor(int8)", np.int8),
    "TYPE_INT16": ("tensor(int16)", np.int16),
    "TYPE_INT32": ("tensor(int32)", np.int32),
    "TYPE_INT64": ("tensor(int64)", np.int64),
    "TYPE_FP16": ("tensor(float16)", np.float16),
    "TYPE_FP32": ("tensor(float)", np.float32),
    "TYPE_FP64": ("tensor(double)", np.float64),
}


class SignatureError(ValueError):
    """config.pbtxt, the model and a request do not fit together, or ask for something unsupported."""


def model_filename(config: dict[str, Any]) -> str:
    """Return the name of the model file inside its version folder."""
    return config.get("default_model_filename") or "model.onnx"


def session_options(config: dict[str, Any], *, spinning: bool = False) -> onnxruntime.SessionOptions:
    """Return the options of ONNX Runtime that config.pbtxt asks for.

    spinning: threads keep their cores while they wait; otherwise idle instances leave them alone.
    Raises: SignatureError for every setting that this backend does not support.
    """
    _refuse_unsupported(config)
    parameters = _parameters(config)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = parameters["intra_op_thread_count"]
    options.inter_op_num_threads = parameters["inter_op_thread_count"]
    options.execution_mode = (
        onnxruntime.ExecutionMode.ORT_PARALLEL
        if parameters["execution_mode"]
        else onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    )
    options.graph_optimization_level = _graph_level(config)
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.log_severity_level = 3  # errors
    return options


def _refuse_unsupported(config: dict[str, Any]) -> None:
    for section in ("sequence_batching", "batch_input", "batch_output"):
        if config.get(section):
            raise SignatureError(f"{section} is not supported: remove it from config.pbtxt")
    for group in config.get("instance_group", []):
        if group["kind"] not in ("KIND_CPU", "KIND_AUTO"):
            raise SignatureError(
                f"instance_group has kind {group['kind']}, but this backend runs only on CPUs: write KIND_CPU, or "
                "serve the model with NVIDIA's image"
            )


def _parameters(config: dict[str, Any]) -> dict[str, int]:
    values = dict.fromkeys(PARAMETERS, 0)
    for name, parameter in config.get("parameters", {}).items():
        if name.startswith(METADATA_PREFIX):
            continue
        text = parameter["string_value"]
        if name not in PARAMETERS:
            raise SignatureError(f"unknown parameter {name!r}: use one of {PARAMETERS} or {METADATA_PREFIX}*")
        if not text.isascii() or not text.isdigit() or (name == "execution_mode" and int(text) > 1):
            expected = "0 (sequential) or 1 (parallel)" if name == "execution_mode" else "a whole number, 0 or more"
            raise SignatureError(f"parameter {name!r} is {text!r}: expected {expected}")
        values[name] = int(text)
    return values


def _graph_level(config: dict[str, Any]) -> onnxruntime.GraphOptimizationLevel:
    optimization = config.get("optimization", {})
    for unsupported in ("execution_accelerators", "cuda"):
        if unsupported in optimization:
            raise SignatureError(f"optimization.{unsupported} is not supported: this backend runs only on CPUs")
    level = str(optimization.get("graph", {}).get("level", 0))
    if level not in GRAPH_LEVELS:
        raise SignatureError(f"optimization.graph.level is {level}: expected one of {', '.join(GRAPH_LEVELS)}")
    return GRAPH_LEVELS[level]


def compare(config: dict[str, Any], session: onnxruntime.InferenceSession) -> None:
    """Compare the names, datatypes and dims of all tensors.

    Raises: SignatureError, which names the tensor, and what config.pbtxt and the model say about it.
    """
    batched = config["max_batch_size"] > 0
    for role, stated, found in (
        ("input", config["input"], session.get_inputs()),
        ("output", config["output"], session.get_outputs()),
    ):
        in_model = {tensor.name: tensor for tensor in found}
        names = [tensor["name"] for tensor in stated]
        if sorted(names) != sorted(in_model):
            raise SignatureError(f"config.pbtxt has the {role}s {sorted(names)}, the model has {sorted(in_model)}")
        for tensor in stated:
            _compare_tensor(role, tensor, in_model[tensor["name"]], batched=batched)


def _compare_tensor(role: str, stated: dict[str, Any], found: Any, *, batched: bool) -> None:
    where = f"{role} {stated['name']!r}"
    expected_type, _ = DATATYPES.get(stated["data_type"], ("a type that this backend lacks", None))
    if found.type != expected_type:
        raise SignatureError(f"{where}: config.pbtxt has {stated['data_type']}, the model has {found.type}")
    for setting in ("reshape", "allow_ragged_batch", "optional", "is_shape_tensor"):
        if stated.get(setting):
            raise SignatureError(f"{where}: {setting} is not supported")
    in_model = [size if isinstance(size, int) else -1 for size in found.shape]
    expected = [-1] * batched + [int(size) for size in stated["dims"]]
    if in_model != expected:
        batch = "; the first is the batch, as max_batch_size > 0" if batched else ""
        raise SignatureError(
            f"{where}: config.pbtxt has dims {expected}, the model has {in_model} (-1: any size{batch})"
        )


def check_request(inputs: Sequence[dict[str, Any]], request: dict[str, np.ndarray], *, batched: bool) -> None:
    """Compare one request's tensors with config.pbtxt before they reach the model.

    Raises: SignatureError.
    """
    for stated in inputs:
        tensor = request[stated["name"]]
        _, dtype = DATATYPES[stated["data_type"]]
        expected = [-1] * batched + [int(size) for size in stated["dims"]]
        fits = len(expected) == tensor.ndim and all(e in (-1, f) for e, f in zip(expected, tensor.shape, strict=True))
        if tensor.dtype != dtype or not fits:
            wanted, got = f"{np.dtype(dtype)} {expected}", f"{tensor.dtype} {list(tensor.shape)}"
            raise SignatureError(f"input {stated['name']!r}: expected {wanted}, got {got}")
