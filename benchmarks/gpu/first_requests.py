"""How long images of changing sizes take on the GPU, with cuDNN's heuristic and with its exhaustive search.

ONNX Runtime plans a convolution anew whenever its size differs from the last one's (conv.cc of its CUDA provider), so a
size that comes back may cost as much as a new one.
"""

import time
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.gpu.scope import Scope
from benchmarks.gpu.sessions import EXHAUSTIVE, HEURISTIC, open_gpu_session
from tiles.canvas import canvas_size
from training.dataset.index import read_index
from training.graphs.tensors import INPUT

CANVASES, SMALL_CANVASES = 6, 2
ROUNDS = 2  # through all canvases
WARM_UP = (256, 256)  # as in the configuration


def measure(scope: Scope) -> dict[str, Any]:
    """Return the canvases, and the milliseconds of the first and second image of each, and when it comes back."""
    every = sorted({canvas_size(entry.height, entry.width) for entry in read_index()} - {WARM_UP}, key=np.prod)
    places = np.linspace(0, len(every) - 1, scope.size(CANVASES, small=SMALL_CANVASES)).astype(int)
    canvases = [every[place] for place in places]
    return {
        "canvases": canvases,
        **{search.lower(): _times(open_gpu_session(scope, search), canvases) for search in (HEURISTIC, EXHAUSTIVE)},
    }


def _times(session: onnxruntime.InferenceSession, canvases: list[tuple[int, int]]) -> dict[str, list[float]]:
    _run_ms(session, WARM_UP)
    pairs = [(_run_ms(session, canvas), _run_ms(session, canvas)) for canvas in canvases]
    returning = [_run_ms(session, canvas) for canvas in canvases * ROUNDS]
    return {"first_ms": [ms for ms, _ in pairs], "second_ms": [ms for _, ms in pairs], "returning_ms": returning}


def _run_ms(session: onnxruntime.InferenceSession, canvas: tuple[int, int]) -> float:
    started_s = time.perf_counter()
    session.run(None, {INPUT: np.zeros((1, 1, *canvas), np.uint8)})
    return round(1000 * (time.perf_counter() - started_s), 2)
