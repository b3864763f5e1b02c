"""No server: a runtime on canvases in memory. Nothing that serves the graph can be faster.

`python -m benchmarks.peers.in_process onnxruntime --workers 2 --threads 1` prints the images per second as JSON.
Each runtime has a process of its own, so that no thread of another runtime is left.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino

from benchmarks.load import WARM_UP_REQUESTS
from benchmarks.peers.local import LocalSegmenter
from benchmarks.samples import canvases, photographs
from benchmarks.servers import GRAPH

InferAll = Callable[[Sequence[np.ndarray]], list[np.ndarray]]  # canvases (1, H, W) → probabilities (1, H, W)


def onnxruntime_on(graph: Path, workers: int, threads: int) -> InferAll:
    """Create a session with so many threads for each worker."""
    free = [LocalSegmenter(graph, threads) for _ in range(workers)]
    pool = ThreadPoolExecutor(workers)

    def infer(canvas: np.ndarray) -> np.ndarray:
        segmenter = free.pop()  # there are as many as threads in the pool, so one is free
        try:
            found: np.ndarray = segmenter.probability(canvas[np.newaxis])[0]
            return found
        finally:
            free.append(segmenter)

    return lambda inputs: list(pool.map(infer, inputs))


def openvino_on(graph: Path, workers: int, threads: int) -> InferAll:
    """Compile for so many streams of so many threads each, in float32.

    By default OpenVINO uses bfloat16 if the processor has it, and then the masks differ.
    """
    streams = {"NUM_STREAMS": str(workers), "INFERENCE_NUM_THREADS": str(workers * threads)}
    compiled = openvino.Core().compile_model(str(graph), "CPU", {**streams, "INFERENCE_PRECISION_HINT": "f32"})
    queue = openvino.AsyncInferQueue(compiled, workers)
    found: dict[int, np.ndarray] = {}

    def keep(request: openvino.InferRequest, place: int) -> None:
        found[place] = request.get_tensor("probability").data[0].copy()

    def infer_all(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        for place, canvas in enumerate(inputs):
            queue.start_async({"image": canvas[np.newaxis]}, place)
        queue.wait_all()
        return [found[place] for place in range(len(inputs))]

    queue.set_callback(keep)
    return infer_all


def images_s(infer_all: InferAll, inputs: Sequence[np.ndarray], cycles: int) -> float:
    """Return the images per second over so many cycles, after a warm-up."""
    infer_all(inputs[:WARM_UP_REQUESTS])
    started_s = time.perf_counter()
    infer_all([canvas for _ in range(cycles) for canvas in inputs])
    return cycles * len(inputs) / (time.perf_counter() - started_s)


def main() -> int:
    """Measure, print {images_s}, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.in_process", description="A runtime alone.")
    parser.add_argument("runtime", choices=["onnxruntime", "openvino"])
    parser.add_argument("--graph", type=Path, default=GRAPH)
    parser.add_argument("--workers", type=int, default=1, help="sessions or streams at once; default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="threads of each; default: %(default)s")
    parser.add_argument("--cycles", type=int, default=1, help="cycles over the photographs; default: %(default)s")
    options = parser.parse_args()
    load = {"onnxruntime": onnxruntime_on, "openvino": openvino_on}[options.runtime]
    infer_all = load(options.graph, options.workers, options.threads)
    sys.stdout.write(json.dumps({"images_s": images_s(infer_all, canvases(photographs()), options.cycles)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
