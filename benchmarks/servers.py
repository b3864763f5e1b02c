"""Runs servers in processes of their own: waits until they are ready, and ends them with all their processes.

Triton, the proxy and the fake Triton run in the serving environment. Everything listens on loopback, at ports that
were free a moment before.
"""

import os
import re
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.errors import ServerStartError
from benchmarks.tools import Command, serving_python
from host.ports import free_port
from inference_server.child import child
from inference_server.log import Log
from inference_server.ready import becomes_ready, is_ready

START_S = 120
STOP_S = 40  # Triton takes three seconds, more while it still has requests
ANSWER_S = 60
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # http_proxy is for other machines
REPOSITORY = Path("model_repository")
GRAPH = REPOSITORY / "segmenter/1/model.onnx"
TRITON_READY, PROXY_READY = "/v2/health/ready", "/health/ready"


@dataclass(frozen=True)
class Server:
    """A server that is ready."""

    address: str  # host:port
    pid: int  # of the process that was started; it may have started others

    @property
    def analyze_url(self) -> str:
        """Return the URL to which images are posted."""
        return f"http://{self.address}/analyze"


@contextmanager
def server(
    command: Command, *, address: str, ready: str, variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a command until the end of the `with` block, which begins when `http://<address><ready>` answers 200.

    Raises: ServerStartError, with the last line that it wrote.
    """
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", **(variables or {})}
    with child(command, grace_s=STOP_S, environment=environment, capture=True) as process:
        log = Log(process.output, sys.stderr, live=False)
        name = " ".join([Path(command[0]).name, *map(str, command[1:4])])
        if not becomes_ready(name, process, partial(is_ready, address, ready), timeout_s=START_S, stop=None):
            process.kill()
            raise ServerStartError(f"{name} … did not become ready: {log.reason()}")
        yield Server(address, process.pid)


@contextmanager
def _module(name: str, *words: str, ready: str, ports: Sequence[str] = ("PORT",), **variables: str) -> Iterator[Server]:
    """Run one of our modules in the serving environment; `ports` are the variables that set its ports."""
    numbers = {port: str(free_port()) for port in ports}
    command: Command = [serving_python(), "-m", name, *words]
    address = f"127.0.0.1:{numbers[ports[0]]}"
    with server(command, address=address, ready=ready, variables=numbers | variables) as started:
        yield started


def triton(**variables: str) -> AbstractContextManager[Server]:
    """Run `python -m inference_server`; the variables are those of inference_server/settings.py."""
    ports = ("TRITON_HTTP_PORT", "TRITON_METRICS_PORT")
    return _module("inference_server", ready=TRITON_READY, ports=ports, **variables)


def proxy(triton_address: str, **variables: str) -> AbstractContextManager[Server]:
    """Run `python -m proxy` in front of a Triton, or of a fake one."""
    return _module("proxy", ready=PROXY_READY, **{"TRITON_URL": triton_address, "LOG_LEVEL": "WARNING", **variables})


def service(**variables: str) -> AbstractContextManager[Server]:
    """Run `python -m launch`: Triton and the proxy."""
    ports = ("PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")
    return _module("launch", ready=PROXY_READY, ports=ports, **{"LOG_LEVEL": "WARNING", **variables})


def fake_triton(
    *, batch_ms: float = 0, image_ms: float = 0, instances: int = 2, max_batch_size: int = 8
) -> AbstractContextManager[Server]:
    """Run fake_triton.py, which is busy for `batch_ms` + N · `image_ms` with a batch of N images."""
    times = ["--batch-ms", str(batch_ms), "--image-ms", str(image_ms)]
    places = ["--instances", str(instances), "--max-batch-size", str(max_batch_size)]
    return _module("benchmarks.fake_triton", *times, *places, ready=TRITON_READY)


def bare_aiohttp() -> AbstractContextManager[Server]:
    """Run bare_aiohttp.py: the proxy's HTTP server without the proxy's work."""
    return _module("benchmarks.bare_aiohttp", ready=PROXY_READY)


def metrics(at: Server) -> dict[str, float]:
    """Return what GET /metrics answers: {name with its labels: value}. Source: Prometheus's text format."""
    with DIRECTLY.open(f"http://{at.address}/metrics", timeout=ANSWER_S) as response:
        lines = [line for line in response.read().decode().splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@contextmanager
def repository(*, graph: Path = GRAPH, max_batch_size: int | None = None) -> Iterator[Path]:
    """Yield a copy of the model repository with this graph, and with this `max_batch_size` if one is given."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name:
        model = Path(name) / "segmenter"
        (model / "1").mkdir(parents=True)
        shutil.copy(graph, model / "1/model.onnx")
        config = (REPOSITORY / "segmenter/config.pbtxt").read_text(encoding="utf-8")
        if max_batch_size is not None:
            config = re.sub(r"^max_batch_size: \d+$", f"max_batch_size: {max_batch_size}", config, flags=re.MULTILINE)
        (model / "config.pbtxt").write_text(config, encoding="utf-8")
        yield Path(name)
