"""Triton's own load tool, perf_analyzer, on real canvases.

Options and CSV are those of release 2.60. Source: its documentation, "Input data" and "Measurements and metrics".
"""

import base64
import csv
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.errors import LoadError, say
from benchmarks.tools import find_tool, run_tool

ALONE, SATURATED = 1, 16  # requests at once: one client's latency, and as much as two cores can do
WINDOWS = 3  # of equal length in one measurement; the tool wants three to call it stable
# The tool repeats its windows until three agree this well, in percent. A measurement here has a fixed time.
ANY_STABILITY = 999
STRAGGLERS_S = 120
TRIES = 3  # each twice as long: the tool fails if nothing was answered within a window
INSTALL = (
    "`pip install perf-analyzer` works with glibc 2.38 or newer (Debian 13, Ubuntu 24.04), and NVIDIA's image "
    "tritonserver:<release>-py3-sdk contains it"
)
STAGES = {  # of a request: our names and the CSV's columns, in microseconds
    "queue": "Server Queue",
    "input": "Server Compute Input",
    "infer": "Server Compute Infer",
    "output": "Server Compute Output",
    "network": "Network+Server Send/Recv",
}


@dataclass(frozen=True)
class Measurement:
    """One measurement. latency_ms: p50, p95, p99; stages_ms: means, as Triton counts them."""

    concurrency: int
    images_s: float
    latency_ms: Mapping[str, float]
    stages_ms: Mapping[str, float]

    def tell(self, what: str) -> None:
        """Write the figures to the terminal."""
        latency = ", ".join(f"{name} {value:.0f} ms" for name, value in self.latency_ms.items())
        say(f"{what}, {self.concurrency} at once: {self.images_s:.1f} images/s; {latency}")


class Share(NamedTuple):
    """One way to divide the cores, the median of its measurements. Times in milliseconds; p50 and p99 are saturated."""

    alone_p50: float
    images_s: float
    p50: float
    p99: float


def by_share(points: Iterable[Mapping[str, Any]]) -> dict[str, Share]:
    """Return {"instances × threads": medians} of the record's measurements, alone and saturated."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for point in points:
        groups[f"{point['instances']} × {point['threads']}"].append(point)
    return {name: _medians(group) for name, group in groups.items()}


def _medians(points: Sequence[Mapping[str, Any]]) -> Share:
    alone, saturated = (
        [point for point in points if point["concurrency"] == requests] for requests in (ALONE, SATURATED)
    )
    return Share(
        alone_p50=median(point["latency_ms"]["p50"] for point in alone),
        images_s=median(point["images_s"] for point in saturated),
        p50=median(point["latency_ms"]["p50"] for point in saturated),
        p99=median(point["latency_ms"]["p99"] for point in saturated),
    )


def perf_analyzer() -> Path:
    """Find the tool; PERF_ANALYZER may name it.

    Raises: ToolMissingError.
    """
    return find_tool("perf_analyzer", INSTALL)


def measure(address: str, canvases: Sequence[np.ndarray], *, concurrency: int, seconds: float) -> Measurement:
    """Send so many requests at once to the model at this Triton for about so long, longer if nothing was answered.

    Shapes: canvases (1, H32, W32) uint8, all of one shape.
    Raises: ToolMissingError; LoadError, with the last try's reason.
    """
    for attempt in range(TRIES - 1):
        try:
            return _try(address, canvases, concurrency, seconds * 2**attempt)
        except LoadError as error:
            say(f"once more, for longer: {error}")
    return _try(address, canvases, concurrency, seconds * 2 ** (TRIES - 1))


def _try(address: str, canvases: Sequence[np.ndarray], concurrency: int, seconds: float) -> Measurement:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        inputs, table = Path(name) / "inputs.json", Path(name) / "table.csv"
        inputs.write_text(json.dumps({"data": [_packed(canvas) for canvas in canvases]}), encoding="utf-8")
        command: list[str | Path] = [perf_analyzer(), "-m", "segmenter", "-u", address, "-i", "http", "-a"]
        command += ["--input-data", inputs, "-f", table, "--concurrency-range", str(concurrency)]
        command += ["-p", str(round(1000 * seconds / WINDOWS)), "-r", str(WINDOWS), "-s", str(ANY_STABILITY)]
        run_tool(command, timeout_s=seconds + STRAGGLERS_S)
        return read_table(table.read_text(encoding="utf-8"))


def _packed(canvas: np.ndarray) -> dict[str, Any]:
    return {"image": {"b64": base64.b64encode(canvas.tobytes()).decode(), "shape": list(canvas.shape)}}


def read_table(text: str) -> Measurement:
    """Read the first line of the CSV that `-f` writes.

    Raises: LoadError, if there is none.
    """
    row = next(csv.DictReader(text.splitlines()), None)
    if row is None:
        raise LoadError("perf_analyzer measured nothing: raise --seconds")
    return Measurement(
        concurrency=int(row["Concurrency"]),
        images_s=round(float(row["Inferences/Second"]), 3),
        latency_ms={name: _milliseconds(row[f"{name} latency"]) for name in ("p50", "p95", "p99")},
        stages_ms={ours: _milliseconds(row[theirs]) for ours, theirs in STAGES.items()},
    )


def _milliseconds(microseconds: str) -> float:
    return round(float(microseconds) / 1000, 2)
