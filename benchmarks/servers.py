"""Servers in processes of their own, started until they are ready and ended with all their processes.

Triton and the proxy run in the serving environment (SERVING_PYTHON, default .venv-serving/bin/python), whatever runs
the benchmark. Everything listens on loopback, at ports that were free a moment before.
"""

import os
import re
import shutil
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import ServerStartError, ToolMissingError
from inference_server.child import child, first_of
from inference_server.launcher import is_ready
from inference_server.log import Log

START_S = 120
STOP_S = 40  # Triton takes three seconds, more while requests are under way
POLL_S = 0.1
ANSWER_S = 60
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # http_proxy is for other machines
REPOSITORY = Path("model_repository")
GRAPH = REPOSITORY / "segmenter/1/model.onnx"


@dataclass(frozen=True)
class Server:
    """A server that is ready."""

    address: str  # host:port
    pid: int  # of the process that was started; others may run below it


@contextmanager
def server(
    command: Sequence[str | Path],
    *,
    address: str,
    ready: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Server]:
    """Run a command until the end of the `with` block; begin it when `http://<address><ready>` answers 200.

    Raises: ServerStartError with what it wrote last.
    """
    deadline_s = time.monotonic() + START_S
    settings = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", **(environment or {})}
    with child(command, grace_s=STOP_S, environment=settings, folder=folder, capture=True) as process:
        log = Log(process.output, sys.stderr, live=False)
        name = " ".join([Path(command[0]).name, *map(str, command[1:4])])
        while not is_ready(address, ready):
            if first_of([process], timeout_s=POLL_S) is not None:
                raise ServerStartError(f"{name} … ended before it was ready: {log.reason()}")
            if time.monotonic() > deadline_s:
                process.kill()
                raise ServerStartError(f"{name} … was not ready after {START_S} s: {log.reason()}")
        yield Server(address, process.pid)


@contextmanager
def triton(**environment: str) -> Iterator[Server]:
    """Run `python -m inference_server`; the variables are those of inference_server/settings.py."""
    address = free_address()
    ports = {"TRITON_HTTP_PORT": address, "TRITON_METRICS_PORT": free_address()}
    settings = {name: value.rpartition(":")[2] for name, value in ports.items()} | environment
    with server(
        _module("inference_server"), address=address, ready="/v2/health/ready", environment=settings
    ) as started:
        yield started


@contextmanager
def proxy(triton_address: str, **environment: str) -> Iterator[Server]:
    """Run `python -m proxy` before a Triton, or something that answers as one."""
    address = free_address()
    settings = {"TRITON_URL": triton_address, "PORT": address.rpartition(":")[2], "LOG_LEVEL": "WARNING", **environment}
    with server(_module("proxy"), address=address, ready="/health/ready", environment=settings) as started:
        yield started


@contextmanager
def service(**environment: str) -> Iterator[Server]:
    """Run `python -m launch`: Triton and the proxy."""
    address = free_address()
    ports = {"PORT": address, "TRITON_HTTP_PORT": free_address(), "TRITON_METRICS_PORT": free_address()}
    settings = {name: value.rpartition(":")[2] for name, value in ports.items()} | {"LOG_LEVEL": "WARNING"}
    with server(
        _module("launch"), address=address, ready="/health/ready", environment=settings | environment
    ) as started:
        yield started


def metrics(at: Server) -> dict[str, float]:
    """Return what GET /metrics tells: {name with its labels: value}. Source: Prometheus's text format."""
    with DIRECTLY.open(f"http://{at.address}/metrics", timeout=ANSWER_S) as response:
        lines = [line for line in response.read().decode().splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _module(name: str) -> list[str | Path]:
    return [serving_python(), "-m", name]


def serving_python() -> Path:
    """Return the serving environment's Python.

    Raises: ToolMissingError.
    """
    python = Path(os.environ.get("SERVING_PYTHON", ".venv-serving/bin/python"))
    if not python.exists():
        raise ToolMissingError(f"{python} does not exist: `make setup` makes it, or set SERVING_PYTHON")
    return python.absolute()


def free_address() -> str:
    """Return a loopback address at a port that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def repository(*, graph: Path = GRAPH, max_batch_size: int | None = None) -> Iterator[Path]:
    """Yield a copy of the model repository that serves this graph, and takes batches as large as said."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        model = Path(name) / "segmenter"
        (model / "1").mkdir(parents=True)
        shutil.copy(graph, model / "1/model.onnx")
        config = (REPOSITORY / "segmenter/config.pbtxt").read_text()
        if max_batch_size is not None:
            config = re.sub(r"^max_batch_size: \d+$", f"max_batch_size: {max_batch_size}", config, flags=re.MULTILINE)
        (model / "config.pbtxt").write_text(config)
        yield Path(name)
