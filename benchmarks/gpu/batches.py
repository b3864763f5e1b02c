"""Images per second of the fp16 graph on the GPU, by batch size: one session, copies to and from the GPU included."""

import itertools
import time
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.gpu.scope import Scope
from benchmarks.gpu.sessions import open_gpu_session
from tiles import pad
from training.dataset.samples import load_part
from training.graphs.tensors import INPUT
from training.params import load_params

SIZES, SMALL_SIZES = (1, 2, 4, 8, 16), (1, 2)
SECONDS, SMALL_SECONDS = 3.0, 0.1
WARM_UP = 3  # runs


def measure(scope: Scope) -> dict[str, Any]:
    """Return canvas, images per second and milliseconds of each batch, for the test images' most frequent canvas."""
    canvases = [pad(sample.image) for sample in load_part("test", load_params())]  # (1, H32, W32) each
    shapes = [canvas.shape for canvas in canvases]
    usual = max(set(shapes), key=shapes.count)
    alike = [canvas for canvas in canvases if canvas.shape == usual]
    session = open_gpu_session(scope)
    points = []
    for size in scope.size(SIZES, small=SMALL_SIZES):
        batch = np.stack(list(itertools.islice(itertools.cycle(alike), size)))  # (N, 1, H32, W32)
        batch_s = _seconds_of(session, batch, scope.size(SECONDS, small=SMALL_SECONDS))
        points.append({"batch": size, "images_s": round(size / batch_s, 1), "batch_ms": round(1000 * batch_s, 3)})
    return {"canvas": list(usual[1:]), "points": points}


def _seconds_of(session: onnxruntime.InferenceSession, batch: np.ndarray, seconds: float) -> float:
    for _ in range(WARM_UP):
        session.run(None, {INPUT: batch})
    started_s, runs = time.perf_counter(), 0
    while time.perf_counter() - started_s < seconds:
        session.run(None, {INPUT: batch})
        runs += 1
    return (time.perf_counter() - started_s) / runs
