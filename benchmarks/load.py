"""Puts load on one address with k6, and returns figures of the answers.

Closed loop: each client posts again as soon as it was answered; this finds the capacity. Open loop: arrivals form a
Poisson process of a given rate, whatever the answers do, as independent clients do; this shows overload. Fixed work:
clients share a number of requests, so that everything that is compared does the same work.
"""

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import LoadError, say
from benchmarks.samples import Body
from benchmarks.tools import Command, find_tool, run_tool

SCRIPT = Path(__file__).parent / "k6/post.js"
WARM_UP_S = 2.0
FIXED_WORK_S = 600  # at most
WARM_UP_REQUESTS = 60  # of fixed work, at most
STRAGGLERS_S = 120  # after the load, for requests that are not answered yet and for k6 itself
MEAN_DELAYS_TO_WARM_UP = 5  # of an open loop's arrivals, see post.js: their rate is then within 1 % of its own
WAITING_CLIENTS = 260  # of an open loop: twice the proxy's two limits together
# Poisson numbers vary; at so many standard deviations above the mean, k6 runs out of clients once in a million.
SPARE_DEVIATIONS = 5


@dataclass(frozen=True)
class Load:
    """The figures of one load, within the seconds that were counted.

    Attributes:
        answered, refused, failed: requests answered with 200, 503 and anything else. An open loop counts the requests
            that arrived within these seconds, whenever they were answered.
        answered_s: answers with 200 per second, counted when they arrive.
        latency_ms: of requests answered with 200: p50, p95, p99, mean and max; empty if there are none.
        refusal_ms: the same for requests answered with 503.
        stages_ms: the same for the server's own stages, if it sends Server-Timing.
    """

    answered: int
    refused: int
    failed: int
    answered_s: float
    latency_ms: Mapping[str, float]
    refusal_ms: Mapping[str, float]
    stages_ms: Mapping[str, Mapping[str, float]]

    def tell(self, what: str) -> None:
        """Write the figures to the terminal."""
        latency = ", ".join(f"{name} {value:.0f} ms" for name, value in self.latency_ms.items())
        say(f"{what}: {self.answered_s:.1f}/s answered, {self.refused} refused, {self.failed} failed; {latency}")


def closed_loop(url: str, bodies: Sequence[Body], *, clients: int, seconds: float) -> Load:
    """Post with so many clients at once, after a warm-up.

    Raises: LoadError, ToolMissingError.
    """
    return _timed(url, bodies, seconds, WARM_UP_S, VUS=str(clients))


def open_loop(url: str, bodies: Sequence[Body], *, rate: float, seconds: float) -> Load:
    """Post at a mean rate of arrivals per second, after a warm-up.

    Raises: LoadError, ToolMissingError.
    """
    delay_s = max(10 / rate, 1)  # post.js says what for
    delayed = rate * delay_s
    clients = math.ceil(delayed + SPARE_DEVIATIONS * math.sqrt(delayed)) + WAITING_CLIENTS
    shape = {"VUS": str(clients), "RATE": f"{rate:.3f}", "DELAY_S": f"{delay_s:g}"}
    return _timed(url, bodies, seconds, MEAN_DELAYS_TO_WARM_UP * delay_s, **shape)


def _timed(url: str, bodies: Sequence[Body], seconds: float, warm_up_s: float, **shape: str) -> Load:
    times = {"WARM_UP_S": f"{warm_up_s:g}", "SECONDS": f"{seconds:g}"}
    return read_summary(_run_k6(url, bodies, {**times, **shape}, warm_up_s + seconds), seconds)


def fixed_work(url: str, bodies: Sequence[Body], *, clients: int, cycles: int) -> Load:
    """Post every body `cycles` times, after some requests that are not counted.

    Raises: ToolMissingError; LoadError, also if a request is not answered with 200.
    """
    warm_up = min(len(bodies), WARM_UP_REQUESTS)
    shape = {"VUS": str(clients), "REQUESTS": str(warm_up + cycles * len(bodies)), "WARM_UP": str(warm_up)}
    metrics = _run_k6(url, bodies, {**shape, "LONGEST_S": str(FIXED_WORK_S)}, FIXED_WORK_S)
    load = read_summary(metrics, metrics["spent_ms"] / 1000, count="answered_ms")
    if load.refused or load.failed:
        raise LoadError(f"{url} refused {load.refused} requests and failed {load.failed}: use fewer --clients")
    return load


def _run_k6(url: str, bodies: Sequence[Body], shape: Mapping[str, str], run_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        manifest, summary = Path(name) / "manifest.json", Path(name) / "summary.json"
        manifest.write_text(
            json.dumps([{"path": str(body.path), "headers": dict(body.headers)} for body in bodies]), encoding="utf-8"
        )
        variables = {"URL": url, "MANIFEST": str(manifest), "SUMMARY": str(summary), **shape}
        k6 = find_tool("k6", "run `make .venv-benchmarks/installed`")
        command: Command = [k6, "run", "--quiet", "--no-color", "--no-usage-report", "--address", "", SCRIPT]
        run_tool(command, timeout_s=run_s + STRAGGLERS_S, variables=variables)
        metrics: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
        return metrics


def read_summary(metrics: Mapping[str, Any], seconds: float, *, count: str = "in_time") -> Load:
    """Read the metrics that k6 passes to `handleSummary`; `count` is the one that was counted during these seconds.

    Raises: LoadError, if k6 had too few clients to make an open loop's arrivals.
    """
    if dropped := _count(metrics, "dropped_iterations"):
        raise LoadError(f"k6 could not send {dropped} requests in time: it had too few clients or too little processor "
                        "time. Use a lower rate")  # fmt: skip
    answered, refused, failed = (_count(metrics, f"{outcome}_ms") for outcome in ("answered", "refused", "failed"))
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
    return int(metrics[name]["values"]["count"]) if name in metrics else 0


def _trend(metrics: Mapping[str, Any], name: str) -> dict[str, float]:
    if not _count(metrics, name):
        return {}
    values = metrics[name]["values"]
    keys = {"p50": "p(50)", "p95": "p(95)", "p99": "p(99)", "mean": "avg", "max": "max"}
    return {ours: round(values[theirs], 2) for ours, theirs in keys.items()}
