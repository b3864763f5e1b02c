"""Real servers for tests: Triton from its wheel, under the serving environment's Python.

SERVING_PYTHON     the Python of that environment; default .venv-serving/bin/python at the root
MODEL_REPOSITORY   what `triton` serves; default model_repository at the root
"""

import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings

from host.ports import free_port

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before anything imports ONNX Runtime
os.environ.setdefault("DVC_NO_ANALYTICS", "1")  # of the scratch projects, too, which know no .dvc/config of ours
os.environ.setdefault("SERVING_PYTHON", str(Path(__file__).parent.parent / ".venv-serving/bin/python"))  # for clones
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the servers that we start would be deaf to it, too
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell is deaf to it
settings.register_profile("unhurried", deadline=None)  # a busy machine fails no property
settings.load_profile("unhurried")

ROOT = Path(__file__).parent.parent
START_S = 120
STOP_S = 40


@dataclass(frozen=True)
class Service:
    """A `python -m ...` of ours in a process of its own, and what it has written to standard error."""

    process: subprocess.Popen
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return self.log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        finally:
            self.process.kill()


@dataclass(frozen=True)
class Triton(Service):
    """A Triton that is ready; `pid` is its launcher's, tritonserver is among `descendants(pid)`."""

    url: str  # host:port, as TRITON_URL wants it
    metrics_url: str  # http://host:port/metrics


StartTriton = Callable[..., Triton]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with a slow test first: begun last, one would keep one worker while the others are idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)  # each half keeps its order


@pytest.fixture(scope="session")
def serving_python() -> Path:
    python = Path(os.environ["SERVING_PYTHON"])
    if not python.exists():
        pytest.fail(f"{python} does not exist: `make setup` makes it, or set SERVING_PYTHON", pytrace=False)
    return python


@pytest.fixture(scope="session")
def start_service(serving_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """start_service("module", "argument", NAME="value") → Service; what still runs at the end is stopped."""
    started: list[Service] = []

    def start(*words: str, kind: Callable[..., Service] = Service, fields: dict | None = None, **env: str) -> Service:
        log = tmp_path_factory.mktemp("service") / "stderr"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [serving_python, "-m", *words],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name != "MODEL_REPOSITORY"} | env,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        started.append(kind(process=process, log=log, **(fields or {})))
        return started[-1]

    start.started = started  # type: ignore[attr-defined]
    yield start
    stop_all(started)


def stop_all(services: Sequence[Service]) -> None:
    """End them at once: Triton takes three seconds when it is asked. Their guards end what they have started."""
    for service in services:
        service.process.kill()
    for service in services:
        service.process.wait()


@pytest.fixture(autouse=True)
def stop_what_the_test_started(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test starts ends with it; what a fixture of a module or the session has started before goes on."""
    if "start_service" not in request.fixturenames:
        yield
        return
    started = request.getfixturevalue("start_service").started
    before = len(started)
    yield
    stop_all(started[before:])


@pytest.fixture(scope="session")
def start_triton(start_service: Callable[..., Service]) -> StartTriton:
    """start_triton(repository, MODEL_INSTANCES="1", ...) → Triton, ready; a refusal fails the test with its words."""

    def start(repository: Path, **env: str) -> Triton:
        http, metrics = free_port(), free_port()
        triton = start_service(
            "inference_server",
            kind=Triton,
            fields={"url": f"127.0.0.1:{http}", "metrics_url": f"http://127.0.0.1:{metrics}/metrics"},
            MODEL_REPOSITORY=str(repository),
            TRITON_HTTP_PORT=str(http),
            TRITON_METRICS_PORT=str(metrics),
            **env,
        )
        wait_until(lambda: "Ctrl-C ends it" in triton.said, triton)
        return triton

    return start


@pytest.fixture(scope="session")
def triton(start_triton: StartTriton, served_repository: Path) -> Triton:
    """The one Triton that tests share, serving the repository's own model."""
    return start_triton(served_repository)


@pytest.fixture(scope="session")
def served_repository() -> Path:
    """The repository's own model, or the one that MODEL_REPOSITORY names."""
    return Path(os.environ.get("MODEL_REPOSITORY", ROOT / "model_repository"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[object]:
    """A Chromium that the tests of a module share; each opens a window of its own."""
    from chromium import running_browser  # noqa: PLC0415  few tests need it

    async with running_browser() as started:
        yield started


@pytest.fixture
async def fake() -> AsyncIterator[object]:
    """A Triton that misbehaves on request."""
    from proxy_servers import FakeTriton  # noqa: PLC0415  it imports the proxy

    async with FakeTriton() as fake:
        yield fake


@pytest.fixture
async def proxy(fake: Any, request: pytest.FixtureRequest) -> AsyncIterator[object]:
    """A proxy before that Triton, with the SETTINGS of the test's module."""
    from proxy_servers import running_proxy  # noqa: PLC0415

    async with running_proxy(fake.url, **getattr(request.module, "SETTINGS", {})) as proxy:
        yield proxy


def answers(url: str) -> bool:
    """Whether a server answers 200 at this address."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


def wait_until(holds: Callable[[], bool], service: Service | None = None, timeout_s: float = START_S) -> None:
    """Poll until it holds; fail when the time is over or the service has ended."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        if service is not None and service.process.poll() is not None:
            pytest.fail(f"it ended with {service.process.returncode}: {service.said}")
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {timeout_s} s: {service.said if service else holds}")
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """All processes below this one."""
    below = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                below += [child, *descendants(child)]
    return below


def runs(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be reaped by its new parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
