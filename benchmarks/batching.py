"""`make bench-batching`: what the proxy's batcher buys and costs, against one image a request.

Once with the real Triton on this machine's processor, and once with a stand-in whose time for a batch is nearly flat,
as a GPU's is (flat_triton.py). Only tiles of one canvas size share a batch, so both kinds of traffic are shown: one
product, and the samples' mixture.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.analyze import tell
from benchmarks.answers import PNG
from benchmarks.errors import exit_status, say
from benchmarks.load import Load, closed_loop, open_loop
from benchmarks.record import made_by, write_record
from benchmarks.samples import Body, files_of_one_canvas_size, jpeg_bodies
from benchmarks.servers import GRAPH, Server, free_address, metrics, proxy, repository, server, serving_python, triton

BATCH_SIZES = (1, 8)  # a configuration that never joins requests, and the published one
CPU_CLIENTS = (8, 16)
FLAT_CLIENTS = (1, 8, 16, 32)
# The gain of dynamic batching that NVIDIA publishes for a network on a GPU, 73 → 272 inferences a second (Triton's
# guide to optimisation), at half its speed: so the proxy, on two cores with the load tool, is not the limit.
FLAT_MS = {"a": 23.0, "b": 4.4}
FLAT_RATE = 0.8  # of what it serves one by one: there is always company, but no overload


def main() -> None:
    """Measure, and write the record `batching`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description="With the batcher and without.")
    parser.add_argument("--seconds", type=float, default=12, help="that each point is counted; default: %(default)s")
    parser.add_argument("--graph", type=Path, default=GRAPH, help="for the real Triton; default: %(default)s")
    options = parser.parse_args()
    traffic = {"one size": jpeg_bodies(PNG, files_of_one_canvas_size()), "mixture": jpeg_bodies(PNG)}
    figures = {"cpu": on_cpu(options.graph, traffic, options.seconds), "flat": on_flat(traffic, options.seconds)}
    settings = {**vars(options), "batch_sizes": BATCH_SIZES, "flat_ms": FLAT_MS, "answer": PNG}
    settings["tiles"] = {name: len(bodies) for name, bodies in traffic.items()}
    say(f"written: {write_record('batching', command=made_by('bench-batching'), figures=figures, settings=settings)}")


def on_cpu(graph: Path, traffic: dict[str, list[Body]], seconds: float) -> list[dict[str, Any]]:
    """Measure before the real Triton."""
    points = []
    for batch_size in BATCH_SIZES:
        with (
            repository(graph=graph, max_batch_size=batch_size) as models,
            triton(MODEL_REPOSITORY=str(models)) as real,
            proxy(real.address) as started,
        ):
            points += closed_loops(started, batch_size, traffic, CPU_CLIENTS, seconds)
    return points


def on_flat(traffic: dict[str, list[Body]], seconds: float) -> list[dict[str, Any]]:
    """Measure before the stand-in; the last point of each size of batch is an open loop."""
    points = []
    rate = FLAT_RATE * 1000 / (FLAT_MS["a"] + FLAT_MS["b"])
    for batch_size in BATCH_SIZES:
        with flat_triton(batch_size) as stand_in, proxy(stand_in.address) as started:
            points += closed_loops(started, batch_size, traffic, FLAT_CLIENTS, seconds)
            before = metrics(started)
            load = open_loop(analyze_of(started), traffic["one size"], rate=rate, seconds=seconds)
            point = {"max_batch_size": batch_size, "traffic": "one size", "rate_s": round(rate, 1)}
            points.append(told(point, load, before, metrics(started)))
    return points


@contextmanager
def flat_triton(max_batch_size: int) -> Iterator[Server]:
    """Run the stand-in."""
    address = free_address()
    port = address.rpartition(":")[2]
    times = ["--a-ms", str(FLAT_MS["a"]), "--b-ms", str(FLAT_MS["b"])]
    command: list[str | Path] = [serving_python(), "-m", "benchmarks.flat_triton", "--port", port, *times]
    with server(
        [*command, "--max-batch-size", str(max_batch_size)], address=address, ready="/v2/health/ready"
    ) as ready:
        yield ready


def closed_loops(
    started: Server, batch_size: int, traffic: dict[str, list[Body]], clients: Sequence[int], seconds: float
) -> list[dict[str, Any]]:
    """Measure each kind of traffic with each number of clients."""
    points = []
    for name, bodies in traffic.items():
        for number in clients:
            before = metrics(started)
            load = closed_loop(analyze_of(started), bodies, clients=number, seconds=seconds)
            point = {"max_batch_size": batch_size, "traffic": name, "clients": number}
            points.append(told(point, load, before, metrics(started)))
    return points


def analyze_of(started: Server) -> str:
    """Return the address to post to."""
    return f"http://{started.address}/analyze"


def told(point: dict[str, Any], load: Load, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    """Add the load's figures, and the mean size of the batches sent meanwhile."""
    batches, sent = (after[name] - before[name] for name in ("proxy_batch_images_count", "proxy_batch_images_sum"))
    found = {**point, "batch_mean": round(sent / batches, 2) if batches else 0.0, **load.figures()}
    tell(", ".join(f"{name} {value}" for name, value in found.items() if name in (*point, "batch_mean")), load)
    return found


if __name__ == "__main__":
    sys.exit(exit_status(main))
