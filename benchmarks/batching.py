"""`make bench-batching`: what the proxy's batcher gains and costs, compared with one image per request.

It is measured with the real Triton on this machine's processor, and with a fake one whose time for a batch is nearly
flat, as a GPU's is. Only images of one canvas size share a batch, so there are two kinds of traffic: the samples of
one size, and all of them.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.errors import exit_status
from benchmarks.load import Load, closed_loop, open_loop
from benchmarks.record import write_record
from benchmarks.samples import PNG, Body, files_of_one_canvas_size, jpeg_bodies
from benchmarks.servers import GRAPH, Server, fake_triton, metrics, proxy, repository, triton

BATCH_SIZES = (1, 8)  # a configuration that never joins requests, and the published one
CPU_CLIENTS = (8, 16)
FLAT_CLIENTS = (1, 8, 16, 32)
# NVIDIA publishes this gain of dynamic batching for a network on a GPU: 73 → 272 inferences a second (Triton's guide
# to optimisation). The fake has half that speed, so that the proxy, on two cores with the load tool, is not the limit.
FLAT_MS = {"a": 23.0, "b": 4.4}
FLAT_RATE = 0.8  # of its rate without batches: images often wait together, but there is no overload

Traffic = dict[str, list[Body]]


def main() -> None:
    """Measure, and write the record `batching`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description="With the batcher and without.")
    parser.add_argument("--seconds", type=float, default=12, help="seconds counted at each point; default: %(default)s")
    parser.add_argument("--graph", type=Path, default=GRAPH, help="graph for the real Triton; default: %(default)s")
    options = parser.parse_args()
    traffic = {"one size": jpeg_bodies(PNG, files_of_one_canvas_size()), "mixture": jpeg_bodies(PNG)}
    figures = {"cpu": on_cpu(options.graph, traffic, options.seconds), "flat": on_flat(traffic, options.seconds)}
    settings = {**vars(options), "batch_sizes": BATCH_SIZES, "flat_ms": FLAT_MS, "answer": PNG}
    settings["tiles"] = {name: len(bodies) for name, bodies in traffic.items()}
    write_record("batching", figures=figures, settings=settings)


def on_cpu(graph: Path, traffic: Traffic, seconds: float) -> list[dict[str, Any]]:
    """Measure with the real Triton."""
    points = []
    for batch_size in BATCH_SIZES:
        with (
            repository(graph=graph, max_batch_size=batch_size) as models,
            triton(MODEL_REPOSITORY=str(models)) as real,
            proxy(real.address) as started,
        ):
            points += closed_loops(started, batch_size, traffic, CPU_CLIENTS, seconds)
    return points


def on_flat(traffic: Traffic, seconds: float) -> list[dict[str, Any]]:
    """Measure with the fake Triton; the last point of each batch size is an open loop."""
    points = []
    rate = FLAT_RATE * 1000 / (FLAT_MS["a"] + FLAT_MS["b"])
    for batch_size in BATCH_SIZES:
        with (
            fake_triton(
                batch_ms=FLAT_MS["a"], image_ms=FLAT_MS["b"], instances=1, max_batch_size=batch_size
            ) as stand_in,
            proxy(stand_in.address) as started,
        ):
            points += closed_loops(started, batch_size, traffic, FLAT_CLIENTS, seconds)
            before = metrics(started)
            load = open_loop(started.analyze_url, traffic["one size"], rate=rate, seconds=seconds)
            point = {"max_batch_size": batch_size, "traffic": "one size", "rate_s": round(rate, 1)}
            points.append(with_load(point, load, before, metrics(started)))
    return points


def closed_loops(
    started: Server, batch_size: int, traffic: Traffic, clients: Sequence[int], seconds: float
) -> list[dict[str, Any]]:
    """Measure each kind of traffic with each number of clients."""
    points = []
    for name, bodies in traffic.items():
        for number in clients:
            before = metrics(started)
            load = closed_loop(started.analyze_url, bodies, clients=number, seconds=seconds)
            point = {"max_batch_size": batch_size, "traffic": name, "clients": number}
            points.append(with_load(point, load, before, metrics(started)))
    return points


def with_load(point: dict[str, Any], load: Load, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    """Add the load's figures, and the mean batch size between two readings of the proxy's metrics."""
    batches, images = (after[name] - before[name] for name in ("proxy_batch_images_count", "proxy_batch_images_sum"))
    point["batch_mean"] = round(images / batches, 2) if batches else 0.0
    load.tell(", ".join(f"{name} {value}" for name, value in point.items()))
    return {**point, **asdict(load)}


if __name__ == "__main__":
    sys.exit(exit_status(main))
