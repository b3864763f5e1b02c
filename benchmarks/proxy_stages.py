"""Where a request's processor time goes: each step of the proxy alone, over every sample, in one process.

Run by benchmarks/proxy.py in the serving environment; prints {step: microseconds a tile} as JSON. The time is the
process's own, user and system, on all threads: a busy machine makes it longer by cold caches, not by waiting.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping

import numpy as np

import tiles
from benchmarks.samples import MAX_PIXELS, tile_files
from proxy.answers import Analysis, represent_json, represent_png, summarize
from proxy.batcher import Batcher
from proxy.segmenter import Segmentation, Segmenter
from proxy.telemetry import Telemetry

ROUNDS = 25  # of which the median counts
TIMEOUT_S = 20.0
Step = Callable[[int], Awaitable[object]]  # given a sample's number


async def measure(triton: str) -> dict[str, float]:
    """Return {step: microseconds}; `triton` is the host:port of an instant one."""
    segmenter = Segmenter(url=triton, model_name="segmenter", timeout_s=TIMEOUT_S)
    batcher = Batcher(_at_once, queue_limit=1, max_batch_pixels=MAX_PIXELS, telemetry=Telemetry())
    batcher.resize(max_in_flight=1, max_batch_size=1)
    try:
        steps = {**await _pixel_steps(segmenter), **_loop_steps(segmenter, batcher)}
        return await _time(steps, len(tile_files()))
    finally:
        await batcher.close()
        await segmenter.close()


async def _at_once(canvases: np.ndarray) -> Segmentation:
    return Segmentation(canvases, canvases)


async def _pixel_steps(segmenter: Segmenter) -> dict[str, Step]:
    """The steps that work on pixels, between what the step before left of each sample."""
    model = await segmenter.read_model()
    files = [path.read_bytes() for path in tile_files()]
    decoded = [tiles.decode_image(data, max_pixels=MAX_PIXELS) for data in files]
    batches = [await segmenter.infer(tiles.pad(tile)[np.newaxis]) for tile in decoded]

    def summarized(number: int) -> Analysis:
        height, width = decoded[number].shape
        found = Segmentation(batches[number].probability[0], batches[number].defect_type[0])
        return summarize(found, height, width, model)

    analyses = [summarized(number) for number in range(len(files))]
    return {
        "decode": _plain(lambda number: tiles.decode_image(files[number], max_pixels=MAX_PIXELS)),
        "pad": _plain(lambda number: tiles.pad(decoded[number])),
        "summarize": _plain(summarized),
        "encode_png": _plain(lambda number: represent_png(analyses[number])),
        "encode_json": _plain(lambda number: represent_json(analyses[number])),
    }


def _loop_steps(segmenter: Segmenter, batcher: Batcher) -> dict[str, Step]:
    """The steps in which the event loop waits: the batcher, and Triton's client."""
    loop = asyncio.get_running_loop()
    canvases = [tiles.pad(tiles.decode_image(path.read_bytes(), max_pixels=MAX_PIXELS)) for path in tile_files()]
    return {
        "batch": lambda number: batcher.submit(canvases[number], deadline=loop.time() + TIMEOUT_S),
        "infer": lambda number: segmenter.infer(canvases[number][np.newaxis]),
    }


def _plain(work: Callable[[int], object]) -> Step:
    async def step(number: int) -> object:
        return work(number)

    return step


async def _time(steps: Mapping[str, Step], samples: int) -> dict[str, float]:
    """Take turns, so that what else the machine does meets all steps alike."""
    rounds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.process_time()
            for number in range(samples):
                await step(number)
            rounds[name].append((time.process_time() - started) / samples)
    return {name: round(1e6 * statistics.median(times), 1) for name, times in rounds.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(measure(sys.argv[1]))))
