"""Triton's own load tool, perf_analyzer, on real canvases.

PERF_ANALYZER names it, else it is looked for on the PATH. Its options and its CSV are those of release 2.60; see its
documentation, "Input data" and "Measurements and metrics".
"""

import base64
import csv
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors import LoadError, ToolMissingError
from inference_server.child import child, first_of
from inference_server.log import Log

WINDOWS = 3  # of equal length that a measurement is made of; the tool wants three to call it stable
# It would go on until three windows agree this well, in percent, and fail otherwise: a point here lasts as told.
ANY_STABILITY = 999
STRAGGLERS_S = 120
STAGES = {  # of a request, ours and its columns, microseconds
    "queue": "Server Queue",
    "input": "Server Compute Input",
    "infer": "Server Compute Infer",
    "output": "Server Compute Output",
    "network": "Network+Server Send/Recv",
}


@dataclass(frozen=True)
class Point:
    """One measurement. latency_ms: p50, p95, p99; stages_ms: means, as Triton counts them."""

    concurrency: int
    images_s: float
    latency_ms: Mapping[str, float]
    stages_ms: Mapping[str, float]

    def figures(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def perf_analyzer() -> str:
    """Find the tool.

    Raises: ToolMissingError, with the ways to have it.
    """
    name = os.environ.get("PERF_ANALYZER") or "perf_analyzer"
    found = shutil.which(name)
    if found is None:
        raise ToolMissingError(
            f"{name} is not there: `pip install perf-analyzer` brings it where glibc is 2.38 or newer (Debian 13, "
            "Ubuntu 24.04), and so does NVIDIA's image tritonserver:<release>-py3-sdk; PERF_ANALYZER names it elsewhere"
        )
    return found


def measure(address: str, canvases: Sequence[np.ndarray], *, concurrency: int, seconds: float) -> Point:
    """Ask the model at this Triton with so many requests at once, for about so long.

    Shapes: canvases (1, H32, W32) uint8, all of one shape.
    Raises: ToolMissingError, LoadError.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        inputs, table = Path(name) / "inputs.json", Path(name) / "table.csv"
        inputs.write_text(json.dumps({"data": [_packed(canvas) for canvas in canvases]}))
        words = ["-m", "segmenter", "-u", address, "-i", "http", "-a", "--input-data", str(inputs), "-f", str(table)]
        window_ms = str(round(1000 * seconds / WINDOWS))
        words += [
            "--concurrency-range",
            str(concurrency),
            "-p",
            window_ms,
            "-r",
            str(WINDOWS),
            "-s",
            str(ANY_STABILITY),
        ]
        with child([perf_analyzer(), *words], grace_s=10, folder=Path(name), capture=True) as process:
            log = Log(process.output, sys.stderr, live=False)
            if first_of([process], timeout_s=seconds + STRAGGLERS_S) is None:
                raise LoadError(f"perf_analyzer did not end in time: {log.reason()}")
            if not table.is_file():
                raise LoadError(f"perf_analyzer ended without a table: {log.reason()}")
        return read_table(table.read_text())


def _packed(canvas: np.ndarray) -> dict[str, Any]:
    return {"image": {"b64": base64.b64encode(canvas.tobytes()).decode(), "shape": list(canvas.shape)}}


def read_table(text: str) -> Point:
    """Read the first line of the CSV that `-f` writes.

    Raises: LoadError, where there is none.
    """
    rows = list(csv.DictReader(text.splitlines()))
    if not rows:
        raise LoadError("perf_analyzer measured nothing: give it more seconds")
    row = rows[0]
    return Point(
        concurrency=int(row["Concurrency"]),
        images_s=round(float(row["Inferences/Second"]), 3),
        latency_ms={name: _milliseconds(row[f"{name} latency"]) for name in ("p50", "p95", "p99")},
        stages_ms={ours: _milliseconds(row[theirs]) for ours, theirs in STAGES.items()},
    )


def _milliseconds(microseconds: str) -> float:
    return round(float(microseconds) / 1000, 2)
