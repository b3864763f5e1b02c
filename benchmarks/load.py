"""Load on one address by k6, and what came back, in numbers.

Closed loop: so many clients, each posting again as soon as it was answered; it finds the capacity. Open loop: arrivals
come as a Poisson process of a given rate, whatever the answers do, as strangers' requests do; it shows the overload.
Fixed work: so many clients share a number of requests, so that what is compared did exactly the same.
"""

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import LoadError, ToolMissingError
from benchmarks.samples import Body
from inference_server.child import child, first_of
from inference_server.log import Log

SCRIPT = Path(__file__).parent / "k6/post.js"
WARM_UP_S = 2.0
FIXED_WORK_S = 600  # as post.js has it
STRAGGLERS_S = 120  # after the load, for what is still under way and for k6 itself
MEAN_DELAYS_TO_WARM_UP = 5  # of an open loop's arrivals, see post.js: their rate is then within 1 % of its own
WAITING_CLIENTS = 260  # of an open loop: the proxy's two limits, twice
# Poisson numbers stray; so many standard deviations above the mean there is no client left once in a million.
SPARE_DEVIATIONS = 5


@dataclass(frozen=True)
class Load:
    """What came back of one load, within the seconds that were counted.

    Attributes:
        answered, refused, failed: requests answered 200, 503 and anything else; of an open loop those that arrived
            within these seconds, whenever they were answered.
        answered_s: answers of 200 a second, by when they came.
        latency_ms: of those answered 200: p50, p95, p99, mean and max; empty where there is none.
        refusal_ms: the same of those answered 503.
        stages_ms: the same of the server's own stages, where it tells them by Server-Timing.
    """

    answered: int
    refused: int
    failed: int
    answered_s: float
    latency_ms: Mapping[str, float]
    refusal_ms: Mapping[str, float]
    stages_ms: Mapping[str, Mapping[str, float]]

    def figures(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def closed_loop(url: str, bodies: Sequence[Body], *, clients: int, seconds: float) -> Load:
    """Post with so many clients at once, after a warm-up.

    Raises: LoadError, ToolMissingError.
    """
    return _run(url, bodies, seconds, WARM_UP_S, VUS=str(clients))


def open_loop(url: str, bodies: Sequence[Body], *, rate: float, seconds: float) -> Load:
    """Post at a mean rate of arrivals a second, after a warm-up.

    Raises: LoadError, ToolMissingError.
    """
    delay_s = max(10 / rate, 1)  # as post.js has it
    delayed = rate * delay_s
    clients = math.ceil(delayed + SPARE_DEVIATIONS * math.sqrt(delayed)) + WAITING_CLIENTS
    return _run(url, bodies, seconds, MEAN_DELAYS_TO_WARM_UP * delay_s, VUS=str(clients), RATE=f"{rate:.3f}")


def fixed_work(url: str, bodies: Sequence[Body], *, clients: int, cycles: int) -> Load:
    """Post every body `cycles` times, after one cycle that is not counted.

    Raises: LoadError, ToolMissingError.
    """
    warm_up = len(bodies)
    shape = {"VUS": str(clients), "REQUESTS": str(warm_up + cycles * len(bodies)), "WARM_UP": str(warm_up)}
    metrics = _k6(url, bodies, shape, FIXED_WORK_S)
    return read_summary(metrics, metrics["spent_ms"] / 1000, count="answered_ms")


def _run(url: str, bodies: Sequence[Body], seconds: float, warm_up_s: float, **shape: str) -> Load:
    times = {"WARM_UP_S": f"{warm_up_s:g}", "SECONDS": f"{seconds:g}"}
    return read_summary(_k6(url, bodies, {**times, **shape}, warm_up_s + seconds), seconds)


def _k6(url: str, bodies: Sequence[Body], shape: Mapping[str, str], run_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        manifest, summary = Path(name) / "manifest.json", Path(name) / "summary.json"
        manifest.write_text(json.dumps([{"path": str(body.path), "headers": dict(body.headers)} for body in bodies]))
        _run_k6({"URL": url, "MANIFEST": str(manifest), "SUMMARY": str(summary), **shape}, run_s)
        metrics: dict[str, Any] = json.loads(summary.read_text())
        return metrics


def _run_k6(variables: Mapping[str, str], run_s: float) -> None:
    command: list[str | Path] = [k6(), "run", "--quiet", "--no-color", "--no-usage-report", "--address", "", SCRIPT]
    with child(command, grace_s=10, environment={**os.environ, **variables}, capture=True) as process:
        log = Log(process.output, sys.stderr, live=False)
        if first_of([process], timeout_s=run_s + STRAGGLERS_S) is None:
            raise LoadError(f"k6 did not end in time: {log.reason()}")
        if not Path(variables["SUMMARY"]).is_file():
            raise LoadError(f"k6 ended without a summary: {log.reason()}")


def find_tool(name: str, mend: str) -> Path:
    """Find a program: the variable of its name in capitals says where, else it is the running environment's.

    mend: the command that brings it.
    Raises: ToolMissingError.
    """
    variable = name.upper().replace("-", "_")
    found = shutil.which(os.environ.get(variable) or Path(sys.executable).with_name(name))
    if found is None:
        raise ToolMissingError(f"{name} is not there: `{mend}` brings it, or let {variable} name it")
    return Path(found)


def k6() -> Path:
    """Find k6.

    Raises: ToolMissingError.
    """
    return find_tool("k6", "make .venv-benchmarks/installed")


def read_summary(metrics: Mapping[str, Any], seconds: float, *, count: str = "in_time") -> Load:
    """Read the metrics that k6 gives to `handleSummary`; `count` is the one that was counted during these seconds.

    Raises: LoadError where it had too few clients to make an open loop's arrivals.
    """
    dropped = metrics.get("dropped_iterations", {"values": {"count": 0}})["values"]["count"]
    if dropped:
        raise LoadError(f"k6 left {dropped} arrivals out, for want of clients or processor time: ask for a lower rate")
    answered, refused, failed = (_count(metrics, f"{kind}_ms") for kind in ("answered", "refused", "failed"))
    stages = {name[6:-3]: _trend(metrics, name) for name in metrics if name.startswith("stage_")}
    return Load(
        answered=answered,
        refused=refused,
        failed=failed,
        answered_s=round(_count(metrics, count) / seconds, 3),
        latency_ms=_trend(metrics, "answered_ms"),
        refusal_ms=_trend(metrics, "refused_ms"),
        stages_ms={name: values for name, values in stages.items() if values},
    )


def _count(metrics: Mapping[str, Any], name: str) -> int:
    return int(metrics.get(name, {"values": {"count": 0}})["values"]["count"])


def _trend(metrics: Mapping[str, Any], name: str) -> dict[str, float]:
    if not _count(metrics, name):
        return {}
    values = metrics[name]["values"]
    keys = {"p50": "p(50)", "p95": "p(95)", "p99": "p(99)", "mean": "avg", "max": "max"}
    return {ours: round(values[theirs], 2) for ours, theirs in keys.items()}
