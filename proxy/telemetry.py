"""What a running proxy tells of itself: Prometheus metrics, the stages' times, log lines.

One `Telemetry` belongs to one application, with a registry of its own, so that many can live in one process. Among
several workers it is shared: each writes its numbers into files, and whichever is asked adds up all.
"""

import json
import logging
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector

PLAIN_WORD = re.compile(r"[!#-~]+")  # ASCII without blanks and quotes
STAGES = ("read", "decode", "queue", "infer", "encode")
# From the hand-over of a small tile up to the default deadline.
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32)


class Telemetry:
    """The metrics behind GET /metrics.

    `shared` adds up what all processes write into the folder that PROMETHEUS_MULTIPROC_DIR named when this one started.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.registry = CollectorRegistry()
        if shared:
            MultiProcessCollector(self.registry)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
        own = None if shared else self.registry  # shared metrics are read from the files alone
        self.requests = Counter(
            "proxy_requests", "Requests by route and status; 499: the client left", ["route", "status"],
            registry=own,
        )  # fmt: skip
        stage_seconds = Histogram(
            "proxy_stage_seconds", "Seconds of one request by stage", ["stage"],
            buckets=SECONDS_BUCKETS, registry=own,
        )  # fmt: skip
        self.analyze_seconds = Histogram(
            "proxy_analyze_seconds", "Seconds from arrival to a mask, of POST /analyze",
            buckets=SECONDS_BUCKETS, registry=own,
        )  # fmt: skip
        self.batch_tiles = Histogram(
            "proxy_batch_tiles", "Tiles in one batch sent to Triton", buckets=BATCH_BUCKETS, registry=own
        )
        self.waiting_tiles = Gauge(
            "proxy_waiting_tiles", "Tiles waiting for Triton", registry=own, multiprocess_mode="livesum"
        )
        self.batches_in_flight = Gauge(
            "proxy_batches_in_flight", "Batches at Triton", registry=own, multiprocess_mode="livesum"
        )
        self.ready = Gauge(
            "proxy_ready", "1 while the served model can be asked, by every worker",
            registry=own, multiprocess_mode="livemin",
        )  # fmt: skip
        self.stage_seconds = {stage: stage_seconds.labels(stage) for stage in STAGES}


class StageTimes:
    """How long each stage of one request took, in the order in which they ran."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside, also when it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - started

    def total_s(self) -> float:
        """Return the seconds since the request arrived."""
        return time.perf_counter() - self.started

    def server_timing(self) -> str:
        """Return the value of a Server-Timing header, in milliseconds."""
        seconds = {**self.seconds, "total": self.total_s()}
        return ", ".join(f"{name};dur={1000 * value:.2f}" for name, value in seconds.items())


def configure_logs(level: str, worker: str = "") -> None:
    """Send log lines to stdout: time, level, who, event, then key=value; a worker's end with its number."""
    handler = logging.StreamHandler(sys.stdout)
    line = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s" + (f" worker={worker}" if worker else "")
    formatter = logging.Formatter(line, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler])
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn of a client's bad input in its own words; it has its answer


def event(name: str, **values: object) -> str:
    """Return one log line's text; whatever is not a plain word is quoted, so a line stays a line."""
    return " ".join([name, *(f"{key}={_word(value)}" for key, value in values.items())])


def _word(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if PLAIN_WORD.fullmatch(text) else json.dumps(text)
