"""How long the first image of a new size takes on the GPU, with cuDNN's heuristic and with its exhaustive search."""

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
WARM_UP = (256, 256)  # as in the configuration


def measure(scope: Scope) -> dict[str, Any]:
    """Return the canvases, and the milliseconds of the first and of the second image of each."""
    every = sorted({canvas_size(entry.height, entry.width) for entry in read_index()} - {WARM_UP}, key=np.prod)
    places = np.linspace(0, len(every) - 1, scope.size(CANVASES, small=SMALL_CANVASES)).astype(int)
    canvases = [every[place] for place in places]
    return {
        "canvases": canvases,
        **{search.lower(): _times(open_gpu_session(scope, search), canvases) for search in (HEURISTIC, EXHAUSTIVE)},
    }


def _times(session: onnxruntime.InferenceSession, canvases: list[tuple[int, int]]) -> dict[str, list[float]]:
    _run_ms(session, WARM_UP)
    found: dict[str, list[float]] = {"first_ms": [], "second_ms": []}
    for canvas in canvases:
        for times in found.values():
            times.append(_run_ms(session, canvas))
    return found


def _run_ms(session: onnxruntime.InferenceSession, canvas: tuple[int, int]) -> float:
    started_s = time.perf_counter()
    session.run(None, {INPUT: np.zeros((1, 1, *canvas), np.uint8)})
    return round(1000 * (time.perf_counter() - started_s), 2)
