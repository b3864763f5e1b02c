"""The backend honours and refuses in config.pbtxt what NVIDIA's does, and answers requests of any mixture of sizes."""

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from conftest import ROOT
from doubler import write_model

from inference_server.backends.onnxruntime import signature

TENSOR = {"data_type": "TYPE_FP32", "dims": ["-1"]}
CONFIG: dict[str, Any] = {
    "max_batch_size": 4,
    "input": [{"name": "x"} | TENSOR],
    "output": [{"name": "y"} | TENSOR],
    "instance_group": [{"kind": "KIND_CPU"}],
}


def parameters(**values: str) -> dict[str, Any]:
    return {"parameters": {name: {"string_value": value} for name, value in values.items()}}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    model = write_model(tmp_path_factory.mktemp("models")) / "doubler/1/model.onnx"
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def test_threads_and_execution_mode_reach_onnx_runtime() -> None:
    asked = parameters(intra_op_thread_count="3", inter_op_thread_count="2", execution_mode="1")

    options = signature.session_options(CONFIG | asked)

    assert (3, 2) == (options.intra_op_num_threads, options.inter_op_num_threads)
    assert onnxruntime.ExecutionMode.ORT_PARALLEL == options.execution_mode
    assert "0" == options.get_session_config_entry("session.intra_op.allow_spinning")


@pytest.mark.parametrize(
    ("level", "optimization"),
    [(-1, "ORT_ENABLE_BASIC"), (0, "ORT_ENABLE_ALL"), (1, "ORT_ENABLE_EXTENDED"), (2, "ORT_DISABLE_ALL")],
)
def test_graph_levels_mean_what_they_mean_to_the_native_backend(level: int, optimization: str) -> None:
    options = signature.session_options(CONFIG | {"optimization": {"graph": {"level": level}}})

    assert getattr(onnxruntime.GraphOptimizationLevel, optimization) == options.graph_optimization_level


def test_parameters_of_the_model_are_metadata() -> None:
    signature.session_options(CONFIG | {"parameters": {"model.threshold": {"string_value": "128"}}})


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (parameters(intra_op_threads="1"), "unknown parameter 'intra_op_threads'"),
        (
            parameters(intra_op_thread_count="all"),
            "'intra_op_thread_count' is 'all': expected a whole number",
        ),
        (parameters(execution_mode="2"), "parameter 'execution_mode' is '2': expected 0 (sequential) or 1 (parallel)"),
        ({"optimization": {"graph": {"level": 3}}}, "optimization.graph.level is 3: expected one of -1, 0, 1, 2"),
        ({"optimization": {"execution_accelerators": {"gpu_execution_accelerator": []}}}, "execution_accelerators"),
        ({"optimization": {"cuda": {"graphs": True}}}, "optimization.cuda is not supported"),
        ({"instance_group": [{"kind": "KIND_GPU"}]}, "instance_group has kind KIND_GPU"),
        ({"sequence_batching": {"direct": {}}}, "sequence_batching is not supported"),
    ],
)
def test_what_this_backend_does_not_support_is_refused_by_name(stated: dict[str, Any], words: str) -> None:
    with pytest.raises(signature.SignatureError, match=re.escape(words)):
        signature.session_options(CONFIG | stated)


def test_a_config_that_agrees_with_its_model_is_accepted(session: onnxruntime.InferenceSession) -> None:
    signature.compare(CONFIG, session)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (
            {"input": [{"name": "z"} | TENSOR]},
            "config.pbtxt has the inputs ['z'], the model has ['x']",
        ),
        (
            {"output": [{"name": "y"} | TENSOR, {"name": "z"} | TENSOR]},
            "config.pbtxt has the outputs ['y', 'z'], the model has ['y']",
        ),
        (
            {"output": [{"name": "y", "data_type": "TYPE_UINT8", "dims": ["-1"]}]},
            "output 'y': config.pbtxt has TYPE_UINT8, the model has tensor(float)",
        ),
        (
            {"input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["4"]}]},
            "input 'x': config.pbtxt has dims [-1, 4], the model has [-1, -1]",
        ),
        (
            {"output": [{"name": "y", "data_type": "TYPE_FP32", "dims": ["-1", "-1"]}]},
            "output 'y': config.pbtxt has dims [-1, -1, -1], the model has [-1, -1]",
        ),
        (
            {"max_batch_size": 0},
            "input 'x': config.pbtxt has dims [-1], the model has [-1, -1]",
        ),
        (
            {"input": [{"name": "x", "reshape": {"shape": ["1"]}} | TENSOR]},
            "input 'x': reshape is not supported",
        ),
        (
            {"input": [{"name": "x", "allow_ragged_batch": True} | TENSOR]},
            "input 'x': allow_ragged_batch is not supported",
        ),
    ],
)
def test_a_config_that_disagrees_with_its_model_is_refused_with_tensor_expected_and_found(
    session: onnxruntime.InferenceSession, stated: dict[str, Any], words: str
) -> None:
    with pytest.raises(signature.SignatureError, match=re.escape(words)):
        signature.compare(CONFIG | stated, session)


def test_a_batch_needs_a_symbolic_first_dimension() -> None:
    fixed = SimpleNamespace(name="x", type="tensor(float)", shape=[1, "length"])
    session = SimpleNamespace(get_inputs=lambda: [fixed], get_outputs=list)

    with pytest.raises(signature.SignatureError, match=re.escape("has dims [-1, -1], the model has [1, -1]")):
        signature.compare(CONFIG | {"output": []}, session)


# ── the backend itself, with a fake of the four names that Triton's stub brings along ──


class Response(SimpleNamespace):
    def __init__(self, tensors: list[Any] | None = None, error: str | None = None) -> None:
        super().__init__(tensors=tensors, error=error)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An instance of the backend that has loaded doubler."""
    triton = ModuleType("triton_python_backend_utils")
    triton.get_input_tensor_by_name = lambda request, name: SimpleNamespace(as_numpy=lambda: request[name])
    triton.Tensor = lambda name, array: (name, array)
    triton.TritonError = str
    triton.InferenceResponse = Response
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", triton)
    # a real one would end this process and its parent as soon as this process stood still
    idle = SimpleNamespace(start=lambda: None, check=lambda: None)
    monkeypatch.setitem(sys.modules, "watchdog", SimpleNamespace(Watchdog=lambda _regions: idle))
    monkeypatch.delitem(sys.modules, "inference_server.backends.onnxruntime.model", raising=False)
    monkeypatch.syspath_prepend(ROOT / "inference_server/backends/onnxruntime")
    module = importlib.import_module("inference_server.backends.onnxruntime.model")
    instance = module.TritonPythonModel()
    arguments = {
        "model_config": json.dumps(CONFIG),
        "model_repository": str(write_model(tmp_path) / "doubler"),
        "model_version": "1",
        "model_name": "doubler",
    }
    instance.initialize(arguments)
    yield instance
    instance.finalize()


class Request(dict[str, np.ndarray]):
    def parameters(self) -> str:
        return ""


def request(*shape: int, dtype: type = np.float32) -> Request:
    return Request(x=np.arange(np.prod(shape), dtype=dtype).reshape(shape))


def test_requests_of_mixed_sizes_in_one_call_are_answered_in_their_order(backend: Any) -> None:
    requests = [request(1, 4), request(2, 6), request(2, 4), request(1, 6)]

    responses = backend.execute(requests)

    for asked, response in zip(requests, responses, strict=True):
        ((name, answer),) = response.tensors
        assert "y" == name
        np.testing.assert_array_equal(2 * asked["x"], answer)


def test_a_failing_group_fails_its_own_requests_alone(backend: Any) -> None:
    responses = backend.execute([request(1, 4), request(1, 5), request(1, 4), request(1, 5)])

    assert [True, False, True, False] == [response.error is None for response in responses]
    assert "Reshape" in responses[1].error


def test_a_request_of_another_type_is_refused_before_it_reaches_the_model(backend: Any) -> None:
    (response,) = backend.execute([request(1, 4, dtype=np.float64)])

    assert "input 'x': expected float32 [-1, -1], got float64 [1, 4]" == response.error
