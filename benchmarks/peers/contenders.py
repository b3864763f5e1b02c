"""The contenders, and the settings with which each is tried.

Triton and this project run as they are published. The others run n processes or threads on n cores, LitServe also with
its batching; rounds.py measures before the rounds which is better.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.load import fixed_work
from benchmarks.samples import JSON, PNG, Body, canvases, jpeg_bodies, kserve_bodies, photographs
from benchmarks.servers import repository, server, service, triton
from benchmarks.tools import run_tool
from host.ports import free_port

TIMEOUT_S = 600

Variant = Mapping[str, int]  # settings that a contender can be started with


@dataclass(frozen=True)
class Result:
    """One measurement; latency_ms is empty without requests over a network."""

    images_s: float
    latency_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A contender that is ready. url: its address for images, None for a runtime alone and for Triton."""

    measure: Callable[[int, int], Result]  # with so many clients, so many cycles over the photographs
    url: str | None = None


@dataclass(frozen=True)
class Contender:
    """Something that can be started with a variant's settings.

    Attributes:
        what: its name in the tables.
        kind: `runtime`, `triton`, `ours` or `peer`.
    """

    name: str
    what: str
    kind: str
    variants: Sequence[Variant]
    start: Callable[[Variant], AbstractContextManager[Running]]


def contenders(graph: Path, cores: int) -> list[Contender]:
    """Return all contenders, for so many cores."""
    spread, joined = {"workers": cores, "threads": 1}, {"workers": 1, "threads": cores}
    both = [spread, joined] if cores > 1 else [spread]
    # Either processes, or one process whose threads infer at the same time: ONNX Runtime releases Python's lock.
    processes = [{"processes": cores, "workers": 1, "threads": 1}, {"processes": 1, "workers": cores, "threads": 1}]
    png, as_json = jpeg_bodies(PNG, photographs()), jpeg_bodies(JSON, photographs())
    alone = {name: partial(_runtime, name, graph) for name in ("onnxruntime", "openvino")}
    return [
        Contender("onnxruntime", "ONNX Runtime alone, no server", "runtime", both, alone["onnxruntime"]),
        Contender("openvino", "OpenVINO alone, no server, float32", "runtime", both, alone["openvino"]),
        Contender("triton", "Triton, tensors in and out", "triton", [{}], partial(_triton, graph)),
        Contender("ours", "this project, PNG out", "ours", [{}], partial(_ours, graph, png)),
        Contender("ours_json", "this project, JSON out", "ours", [{}], partial(_ours, graph, as_json)),
        Contender("fastapi", "FastAPI + ONNX Runtime", "peer", processes[:cores], partial(_fastapi, graph, png)),
        Contender("litserve", "LitServe", "peer", [spread, {**spread, "batch": 4}], partial(_litserve, graph, png)),
        Contender("bentoml", "BentoML", "peer", [spread], partial(_bentoml, graph, png)),
    ]


@contextmanager
def _runtime(runtime: str, graph: Path, variant: Variant) -> Iterator[Running]:
    words = [sys.executable, "-m", "benchmarks.peers.in_process", runtime, "--graph", str(graph)]
    words += [word for name, value in variant.items() for word in (f"--{name}", str(value))]

    def measure(_clients: int, cycles: int) -> Result:
        found = json.loads(run_tool([*words, "--cycles", str(cycles)], timeout_s=TIMEOUT_S))
        return Result(round(found["images_s"], 3))

    yield Running(measure)


@contextmanager
def _triton(graph: Path, _variant: Variant) -> Iterator[Running]:
    with (
        repository(graph=graph) as models,
        triton(MODEL_REPOSITORY=str(models)) as started,
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
    ):
        url = f"http://{started.address}/v2/models/segmenter/infer"
        yield Running(partial(_measure, url, kserve_bodies(Path(folder), canvases(photographs()))))


@contextmanager
def _ours(graph: Path, bodies: Sequence[Body], _variant: Variant) -> Iterator[Running]:
    with repository(graph=graph) as models, service(MODEL_REPOSITORY=str(models)) as started:
        yield Running(partial(_measure, started.analyze_url, bodies), started.analyze_url)


def _fastapi(graph: Path, bodies: Sequence[Body], variant: Variant) -> AbstractContextManager[Running]:
    words = ["uvicorn", "benchmarks.peers.fastapi_app:app", "--workers", str(variant["processes"])]
    quiet = ["--no-access-log", "--log-level", "warning"]
    return _peer([*words, *quiet], "/health", graph, bodies, variant)


def _litserve(graph: Path, bodies: Sequence[Body], variant: Variant) -> AbstractContextManager[Running]:
    return _peer(["benchmarks.peers.litserve_app"], "/health", graph, bodies, variant)


def _bentoml(graph: Path, bodies: Sequence[Body], variant: Variant) -> AbstractContextManager[Running]:
    words = ["bentoml", "serve", "benchmarks.peers.bentoml_service:Segmenter", "--host", "127.0.0.1"]
    return _peer(words, "/readyz", graph, bodies, variant)


@contextmanager
def _peer(words: Sequence[str], ready: str, graph: Path, bodies: Sequence[Body], variant: Variant) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", *words, "--port", str(port)]
    settings = {"PEER_GRAPH": str(graph), **{f"PEER_{name.upper()}": str(value) for name, value in variant.items()}}
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as home:
        private = {"BENTOML_HOME": home, "BENTOML_DO_NOT_TRACK": "True"}
        with server(command, address=f"127.0.0.1:{port}", ready=ready, variables=settings | private) as started:
            yield Running(partial(_measure, started.analyze_url, bodies), started.analyze_url)


def _measure(url: str, bodies: Sequence[Body], clients: int, cycles: int) -> Result:
    load = fixed_work(url, bodies, clients=clients, cycles=cycles)
    return Result(load.answered_s, load.latency_ms)
