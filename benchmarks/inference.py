"""`make bench-triton`: Triton alone, measured with perf_analyzer.

It measures the time of an image at three sizes and with more and more requests at once. It also compares ways to divide
a machine's cores: instances of the model, and threads of each instance.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.errors import exit_status
from benchmarks.perf_analyzer import ALONE, SATURATED, measure, perf_analyzer
from benchmarks.record import write_record
from benchmarks.samples import canvases_by_size
from benchmarks.servers import GRAPH, repository, triton
from host.cores import usable_cores

CONCURRENCIES = (1, 2, 4, 8, 16)
ANALYSED_SIZE = "median"


class Configuration(NamedTuple):
    """How a machine's cores are divided: instances of the model, and threads of each."""

    instances: int
    threads: int


def main() -> None:
    """Measure, and write the record `triton`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description="Triton, with perf_analyzer.")
    parser.add_argument("--seconds", type=float, default=12, help="seconds of each point; default: %(default)s")
    parser.add_argument("--concurrencies", type=int, nargs="+", default=CONCURRENCIES, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of dividing the cores; default: %(default)s")
    parser.add_argument("--graph", type=Path, default=GRAPH, help="graph that Triton serves; default: %(default)s")
    options = parser.parse_args()
    if ALONE not in options.concurrencies:
        parser.error(f"--concurrencies lacks {ALONE}: add it, the page tells the latency of one request alone")
    perf_analyzer()  # if it is not installed, say so now rather than later
    inputs, cores = canvases_by_size(), usable_cores()
    sizes = by_size(inputs, options.graph, options.concurrencies, options.seconds)
    analysis = [
        point
        for _ in range(options.rounds)
        for configuration in configurations(cores)
        for point in analyse(configuration, inputs[ANALYSED_SIZE], options.graph, options.seconds)
    ]
    settings = {**vars(options), "cores": cores, "analysed_size": ANALYSED_SIZE}
    write_record("triton", figures={"sizes": sizes, "analysis": analysis}, settings=settings)


def by_size(
    inputs: Mapping[str, Sequence[np.ndarray]], graph: Path, concurrencies: Sequence[int], seconds: float
) -> dict[str, Any]:
    """Measure Triton as it is published; the canvases of a size are (1, H32, W32) uint8."""
    found: dict[str, Any] = {}
    with repository(graph=graph) as models, triton(MODEL_REPOSITORY=str(models)) as started:
        for size, canvases in inputs.items():
            points = []
            for concurrency in concurrencies:
                point = measure(started.address, canvases, concurrency=concurrency, seconds=seconds)
                point.tell(f"{size} canvas")
                points.append(asdict(point))
            found[size] = {"canvas": list(canvases[0].shape[1:]), "points": points}
    return found


def configurations(cores: int) -> list[Configuration]:
    """Return what to compare: all cores in one instance, one core each, and more threads than there are cores."""
    return [Configuration(*share) for share in sorted({(1, cores), (cores, 1), (cores, cores)})]


def analyse(
    configuration: Configuration, canvases: Sequence[np.ndarray], graph: Path, seconds: float
) -> list[dict[str, Any]]:
    """Measure one configuration alone and saturated; canvases: (1, H32, W32) uint8, all of one shape."""
    settings = {"MODEL_INSTANCES": str(configuration.instances), "MODEL_THREADS": str(configuration.threads)}
    points = []
    with repository(graph=graph) as models, triton(MODEL_REPOSITORY=str(models), **settings) as started:
        for concurrency in (ALONE, SATURATED):
            point = measure(started.address, canvases, concurrency=concurrency, seconds=seconds)
            point.tell(", ".join(f"{name} {value}" for name, value in configuration._asdict().items()))
            points.append({**configuration._asdict(), **asdict(point)})
    return points


if __name__ == "__main__":
    sys.exit(exit_status(main))
