"""The metrics of a running proxy, in Prometheus's terms, and the times of one request's stages.

One `Telemetry` belongs to one application and has a registry of its own, so that several can live in one process.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

STAGES = ("read", "decode", "queue", "infer", "encode")
# From the decoding of a small image up to the default deadline.
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32)


class Telemetry:
    """The metrics behind GET /metrics."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "proxy_requests", "Requests by route and status; status 499: the client left before its answer",
            ["route", "status"], registry=registry,
        )  # fmt: skip
        stage_seconds = Histogram(
            "proxy_stage_seconds", "Seconds that one request spent in a stage", ["stage"],
            buckets=SECONDS_BUCKETS, registry=registry,
        )  # fmt: skip
        self.stage_seconds = {stage: stage_seconds.labels(stage) for stage in STAGES}
        self.analyze_seconds = Histogram(
            "proxy_analyze_seconds", "Seconds from the arrival of a POST /analyze to its mask",
            buckets=SECONDS_BUCKETS, registry=registry,
        )  # fmt: skip
        self.batch_images = Histogram(
            "proxy_batch_images", "Images in one batch sent to Triton", buckets=BATCH_BUCKETS, registry=registry
        )
        self.waiting_images = Gauge("proxy_waiting_images", "Images waiting for Triton", registry=registry)
        self.batches_in_flight = Gauge("proxy_batches_in_flight", "Batches at Triton", registry=registry)
        self.answer_mismatches = Counter(
            "proxy_answer_mismatches", "Answers of Triton that were another request's or damaged, and never passed on",
            registry=registry,
        )  # fmt: skip
        self.unfamiliar_images = Counter(
            "proxy_unfamiliar_images", "Images that are unlike the tiles that the model was trained with",
            registry=registry,
        )  # fmt: skip
        self.warnings = Counter("proxy_warnings", "Warnings in answers, by their code", ["code"], registry=registry)
        self.ready = Gauge("proxy_ready", "1 while the served model answers, otherwise 0", registry=registry)


class StageTimes:
    """How long each stage of one request took, in the order in which they ran."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block, also when it fails; the images of a tile add up."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """Add to a stage's time."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def total_s(self) -> float:
        """Return the seconds since the request arrived."""
        return time.perf_counter() - self.started

    def server_timing(self) -> str:
        """Return the value of a Server-Timing header, in milliseconds."""
        seconds = {**self.seconds, "total": self.total_s()}
        return ", ".join(f"{name};dur={1000 * value:.2f}" for name, value in seconds.items())
