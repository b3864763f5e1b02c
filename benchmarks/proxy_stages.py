"""How a request's processor time divides into steps: each step of the proxy alone, over every sample, in one process.

Run by benchmarks/proxy.py in the serving environment; prints {step: microseconds per image} as JSON. The time is the
process's own, user and system, on all threads: a busy machine makes it longer only by cold caches.
"""

import asyncio
import inspect
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

import tiles
from benchmarks.samples import MAX_PIXELS, image_files
from proxy.analysis import Analysis, summarize
from proxy.answers import represent_json, represent_png
from proxy.batcher import Batcher
from proxy.report import Report
from proxy.segmentation import Segmentation
from proxy.segmenter import Segmenter
from proxy.served_model import ServedModel
from proxy.telemetry import Telemetry
from tiles.operating_point import OperatingPoint

ROUNDS = 25  # of which the median counts
TIMEOUT_S = 20.0
MODEL = ServedModel(
    name="segmenter",
    version="1",
    digest="",
    operating_point=OperatingPoint(128, 0.0),
    tile_alarm_score=0.5,
    novelty_limit=1.0,
    defect_types=tiles.DEFECT_TYPES,
)
Step = Callable[[int], object]  # called with a sample's number; what it returns may have to be awaited


async def measure(triton: str) -> dict[str, float]:
    """Return {step: microseconds}; `triton` is the host:port of a fake one that answers at once."""
    segmenter = Segmenter(url=triton, model_name="segmenter", timeout_s=TIMEOUT_S)
    batcher = Batcher(_at_once, queue_limit=1, queue_pixels=MAX_PIXELS, telemetry=Telemetry())
    batcher.resize(max_in_flight=1, max_batch_size=1, max_batch_pixels=MAX_PIXELS)
    try:
        return await _time(await _steps(segmenter, batcher), len(image_files()))
    finally:
        await batcher.close()
        await segmenter.close()


async def _at_once(canvases: np.ndarray) -> Segmentation:
    return Segmentation(canvases, canvases, np.zeros((len(canvases), 1), np.float32), MODEL)


async def _steps(segmenter: Segmenter, batcher: Batcher) -> dict[str, Step]:
    """Return the steps; each works on what the step before it returned for a sample."""
    clock = asyncio.get_running_loop().time
    files = [path.read_bytes() for path in image_files()]
    images = [tiles.decode_image(data, max_pixels=MAX_PIXELS) for data in files]  # (H, W) each
    canvases = [tiles.pad(image) for image in images]  # (1, H32, W32) each
    batches = [await segmenter.infer(canvas[np.newaxis]) for canvas in canvases]  # (1, 1, H32, W32) each
    answers = [batch.of(0) for batch in batches]

    def summarized(number: int) -> Analysis:
        height, width = images[number].shape
        return summarize(answers[number], height, width)

    analyses = [summarized(number) for number in range(len(files))]

    def report(number: int) -> Report:
        """Return a fresh one: it keeps what it has computed."""
        return Report(replace(analyses[number]), images[number])

    return {
        "decode": lambda number: tiles.decode_image(files[number], max_pixels=MAX_PIXELS),
        "pad": lambda number: tiles.pad(images[number]),
        "summarize": summarized,
        "encode_png": lambda number: represent_png(report(number), "mask"),
        "encode_json": lambda number: represent_json(report(number), "rows"),
        "batch": lambda number: batcher.submit(canvases[number], deadline=clock() + TIMEOUT_S),
        "infer": lambda number: segmenter.infer(canvases[number][np.newaxis]),
    }


async def _time(steps: Mapping[str, Step], samples: int) -> dict[str, float]:
    """Let the steps take turns, so that other work on the machine slows them equally."""
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started_s = time.process_time()
            for number in range(samples):
                result = step(number)
                if inspect.isawaitable(result):
                    await result
            rounds[name].append((time.process_time() - started_s) / samples)
    return {name: round(1e6 * statistics.median(times_s), 1) for name, times_s in rounds.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measure(sys.argv[1]))))
