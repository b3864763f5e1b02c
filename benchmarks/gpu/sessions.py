"""ONNX Runtime with the published graph on the GPU, as Triton's configuration `gpu` runs it."""

import onnxruntime
import torch  # noqa: F401  ONNX Runtime takes the CUDA libraries that torch has loaded

from benchmarks.errors import BenchmarkError
from benchmarks.gpu.scope import Scope
from training.files import GPU_GRAPH_FILE

HEURISTIC, EXHAUSTIVE = "HEURISTIC", "EXHAUSTIVE"


def open_gpu_session(scope: Scope, search: str = HEURISTIC) -> onnxruntime.InferenceSession:
    """Load the graph. search: how cuDNN chooses the algorithm of a convolution.

    Raises: BenchmarkError, when it would run on the CPU instead.
    """
    provider = "CPUExecutionProvider" if scope.small else "CUDAExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise BenchmarkError(f"onnxruntime {onnxruntime.__version__} is one without CUDA: onnxruntime-gpu is missing")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    choice = {} if scope.small else {"cudnn_conv_algo_search": search}
    session = onnxruntime.InferenceSession(GPU_GRAPH_FILE, options, providers=[(provider, choice)])
    session.disable_fallback()  # otherwise a run that CUDA refuses would go on, on the CPU
    if session.get_providers()[0] != provider:
        raise BenchmarkError(f"onnxruntime {onnxruntime.__version__} could not start CUDA: its message is above")
    return session
