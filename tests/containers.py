"""`make container-test`: the images and the composition are as docs/deployment.md says. It needs docker or podman.

Not collected by `make test`: building takes minutes. What it measures is printed at the end.

CONTAINER_ENGINE   docker or podman; default: the first of them that answers
CONTAINER_BUILD    more words for `build`, such as --network=host
"""

import io
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from host.ports import free_port
from tests.conftest import ROOT, answers, wait_until


def works(engine: str) -> bool:
    """Whether the client is there, and what it asks answers."""
    return (
        bool(shutil.which(engine))
        and subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0
    )


ENGINE = os.environ.get("CONTAINER_ENGINE") or next(filter(works, ("docker", "podman")), "docker")
COMPOSE = ["docker", "compose"] if ENGINE == "docker" else ["podman-compose"]
IMAGES = {  # image: its Dockerfile and context
    "mag-tiles": ("Dockerfile", "."),
    "magnetic-tiles-triton": ("inference_server/Dockerfile", "."),
    "magnetic-tiles-proxy": ("proxy/Dockerfile", "."),
    "magnetic-tiles-front": ("deploy/front/Dockerfile", "deploy/front"),
}
# Beside the base image, whose size is not ours. libpython is among it only where the base's Python does not bring it.
LARGEST_MB = {"mag-tiles": 380, "magnetic-tiles-triton": 290, "magnetic-tiles-proxy": 120, "magnetic-tiles-front": 20}
BASES = {"magnetic-tiles-front": "debian:bookworm-slim"}
HARDENED = ["--read-only", "--tmpfs=/tmp:exec", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--shm-size=256m"]
REVISION = "0123456789abcdef"
USER = "10001:10001"
SAMPLES = sorted((ROOT / "samples/tiles").rglob("*.jpg"))
pytestmark = pytest.mark.timeout(1800)
FIGURES: dict[str, str] = {}


def engine(*words: str, check: bool = True, both: bool = False) -> str:
    """Run the engine's client; what it writes to standard output, or to both streams."""
    stderr = subprocess.STDOUT if both else subprocess.PIPE
    here = tempfile.gettempdir()  # podman leaves a file `oom` where it started a container that was killed for memory
    ended = subprocess.run([ENGINE, *words], cwd=here, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False)
    if check and ended.returncode:
        pytest.fail(f"{ENGINE} {shlex.join(words)}: {ended.stdout[-2000:]}{(ended.stderr or '')[-2000:]}")
    return ended.stdout.strip()


def logs(name: str) -> str:
    return engine("logs", name, both=True)


def is_healthy(name: str) -> bool:
    """What the image's own health check says; podman needs systemd to ask it by itself."""
    if ENGINE == "podman":
        return not subprocess.run([ENGINE, "healthcheck", "run", name], capture_output=True, check=False).returncode
    return inspect(name, "{{.State.Health.Status}}") == "healthy"


def inspect(name: str, template: str) -> str:
    return engine("inspect", "--format", template, name)


def status_of_ended(name: str, timeout_s: float = 300) -> int:
    """Wait for a container's end; its exit status."""
    wait_until(lambda: inspect(name, "{{.State.Status}}") == "exited", timeout_s=timeout_s)
    return int(inspect(name, "{{.State.ExitCode}}"))


@pytest.fixture(scope="session", autouse=True)
def figures() -> Iterator[None]:
    yield
    print("\n\n" + "\n".join(f"{name}: {figure}" for name, figure in FIGURES.items()))  # noqa: T201


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    """All images of the composition and the one of everything, built from this tree."""
    os.environ["BUILDAH_FORMAT"] = "docker"  # podman's own format has no health check
    for base in {"python:3.11-slim-bookworm", *BASES.values()}:  # BuildKit leaves none in the engine's store
        if not engine("image", "ls", "--quiet", base):
            engine("pull", base)
    for image, (dockerfile, context) in IMAGES.items():
        more = shlex.split(os.environ.get("CONTAINER_BUILD", ""))
        label = f"--build-arg=REVISION={REVISION}"
        engine("build", *more, label, "-t", image, "-f", str(ROOT / dockerfile), str(ROOT / context))


@contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """Run an image in the background until the end of the `with` block."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    engine("run", "--detach", "--name", name, *options, image, *command)
    try:
        yield name
    finally:
        engine("rm", "--force", name, check=False)


def post(url: str, image: bytes, media_type: str = "image/jpeg") -> tuple[int, bytes]:
    """POST /analyze: status and body; status 0 where the connection broke."""
    request = urllib.request.Request(f"{url}/analyze", image, {"Content-Type": media_type})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def refuse_wrong_masks(url: str) -> None:
    """Each sample tile is answered with a mask of its own size."""
    for sample in SAMPLES:
        status, body = post(url, sample.read_bytes())
        with Image.open(sample) as image:
            assert (200, image.size) == (status, (json.loads(body)["width"], json.loads(body)["height"]))
            assert image.size == (len(json.loads(body)["pred"][0]), len(json.loads(body)["pred"]))


@contextmanager
def load(url: str, clients: int = 4) -> Iterator[Counter]:
    """Post samples from several clients until the end of the `with` block; statuses counted."""
    stop, counted = threading.Event(), Counter()
    bodies = [sample.read_bytes() for sample in SAMPLES]

    def client(number: int) -> None:
        place = number
        while not stop.is_set():
            status, _ = post(url, bodies[place % len(bodies)])
            counted[status] += 1
            place += clients
            if status == 503:
                stop.wait(1)  # the least that Retry-After says

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(client, number) for number in range(clients)]
        try:
            yield counted
        finally:
            stop.set()
    for one in running:
        one.result()


def ready_after_s(url: str, started_s: float) -> float:
    wait_until(lambda: answers(f"{url}/health/ready"), timeout_s=300)
    return time.monotonic() - started_s


# ── images ──


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_small_and_labelled_and_its_user_is_nobody(image: str) -> None:
    whole, base = (
        int(inspect(name, "{{.Size}}")) / 1e6 for name in (image, BASES.get(image, "python:3.11-slim-bookworm"))
    )
    FIGURES[f"size of {image}"] = f"{whole:.0f} MB, of which the base {base:.0f} MB"

    assert USER == inspect(image, "{{.Config.User}}")
    assert REVISION == inspect(image, '{{index .Config.Labels "org.opencontainers.image.revision"}}')
    assert "HEALTHCHECK" in engine("history", "--no-trunc", image)
    assert whole - base <= LARGEST_MB[image]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_no_compiler_and_no_cache(image: str) -> None:
    programs = "$(for each in gcc cc strip; do command -v $each; done)"  # dash looks only for the first of several
    places = f"{programs} /var/lib/apt/lists/*_Packages /root/.cache/pip /app/.venv/bin/pip*"

    found = engine("run", "--rm", "--entrypoint", "sh", image, "-c", f"ls -d {places} 2>/dev/null || true")

    assert "" == found


# ── the image of everything ──


def test_the_first_projects_command_serves_and_ends_at_sigterm() -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    started_s = time.monotonic()
    with container("mag-tiles", *HARDENED, "-p", f"127.0.0.1:{port}:8000", "-e", "PORT=8000") as name:
        FIGURES["start-up, the image of everything"] = f"{ready_after_s(url, started_s):.1f} s"
        refuse_wrong_masks(url)
        wait_until(lambda: is_healthy(name), timeout_s=60)

        engine("stop", "--time", "60", name)

        assert 0 == status_of_ended(name), logs(name)


def test_512_mib_are_enough_under_load() -> None:
    """What Heroku's smaller dynos have."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    limits = ["--memory=512m", "--memory-swap=512m", "-e", "MAX_PIXELS=1048576"]
    limits += ["-e", "MAX_WAIT_S=60"]  # a slow machine refuses nobody while it computes the large image
    with container("mag-tiles", *limits, "-p", f"127.0.0.1:{port}:8080") as name:
        ready_after_s(url, time.monotonic())
        large = io.BytesIO()
        Image.effect_noise((1024, 1024), 90).save(large, "PNG")
        with load(url, clients=8) as counted:
            wait_until(lambda: counted[200] >= 300, timeout_s=600)
            assert 200 == post(url, large.getvalue(), "image/png")[0]
        FIGURES["512 MiB, tiles answered"] = str(dict(counted))
        kills = engine("exec", name, "python", "-c", "from host.memory import memory_kills as k; print(k())")

        assert {200} == set(counted)
        assert ("running", "0") == (inspect(name, "{{.State.Status}}"), kills)


def test_too_little_memory_is_told_with_status_7() -> None:
    with container("mag-tiles", "--memory=96m", "--memory-swap=96m", "-e", "MODEL_INSTANCES=2") as name:
        status = status_of_ended(name)

        said = logs(name)
        assert (7, True) == (status, "memory ran out (96 MiB): give it more" in said), said


def test_a_missing_model_is_told_with_status_5(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with container("mag-tiles", "-v", f"{tmp_path}:/app/model_repository:ro") as name:
        status = status_of_ended(name)

        assert (5, True) == (status, "has no <model>/config.pbtxt" in logs(name))


def test_a_wrong_setting_is_told_with_status_2() -> None:
    with container("mag-tiles", "-e", "PORT=8000", "-e", "TRITON_HTTP_PORT=8000") as name:
        status = status_of_ended(name)

        assert (2, True) == (status, "PORT and TRITON_HTTP_PORT are both 8000" in logs(name))


def test_a_proxy_without_triton_lives_and_says_that_it_is_away() -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    with container("magnetic-tiles-proxy", *HARDENED, "-p", f"127.0.0.1:{port}:8080"):
        wait_until(lambda: answers(f"{url}/health/live"), timeout_s=60)

        status, body = post(url, SAMPLES[0].read_bytes())

        assert (503, True) == (status, b"Triton cannot be reached" in body), body
        assert b"127.0.0.1" not in body


# ── the composition ──


def compose(project: str, *words: str, **environment: str) -> str:
    command = [*COMPOSE, "-p", project, "-f", str(ROOT / "compose.yaml"), *words]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        pytest.fail(f"{shlex.join(command)}: {ended.stdout[-2000:]}")
    return ended.stdout


@pytest.fixture(scope="module")
def composition() -> Iterator[tuple[str, Callable[[str], str]]]:
    """The front proxy's address, and the name of a service's first container; there are two proxies."""
    project, port = f"test{uuid.uuid4().hex[:8]}", free_port()
    url = f"http://127.0.0.1:{port}"

    def name(service: str) -> str:
        names = engine("ps", "--all", "--format", "{{.Names}}").split()
        return min(name for name in names if name.startswith(project) and service in name)

    started_s = time.monotonic()
    try:
        compose(project, "up", "--detach", "--scale", "proxy=2", PORT=str(port))
        FIGURES["start-up, the composition"] = f"{ready_after_s(url, started_s):.1f} s"
        yield url, name
    finally:
        compose(project, "down")
        if ENGINE == "podman":  # what docs/deployment.md says of `down` after `--scale`
            left = engine("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}").split()
            engine("rm", "--force", "--depend", *left)
    assert project not in engine("ps", "--all", "--format", "{{.Names}}")


NEEDED = {
    "tls": {"CERTIFICATE": "/etc/tiles/cert.pem"},
    "observability": {"GRAFANA_PASSWORD": "a-secret"},
    "s3": {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "a-long-secret"},
}
SERVICES = ("triton", "proxy", "front")


def test_the_composition_analyses_the_samples(composition: tuple[str, Callable[[str], str]]) -> None:
    url, name = composition

    refuse_wrong_masks(url)

    for service in SERVICES:
        wait_until(lambda service=service: is_healthy(name(service)), timeout_s=60)
        memory = engine("stats", "--no-stream", "--format", "{{.MemUsage}}", name(service))
        FIGURES[f"memory of {service}"] = memory


def test_each_of_several_proxies_gets_its_share(composition: tuple[str, Callable[[str], str]]) -> None:
    url, name = composition
    first = name("proxy")
    second = f"{first[:-1]}2"
    assert first != second

    with get(url):
        wait_until(lambda: is_asked(first) and is_asked(second), timeout_s=60)


def test_the_front_proxys_port_alone_is_published(composition: tuple[str, Callable[[str], str]]) -> None:
    _, name = composition

    bindings = {
        service: json.loads(inspect(name(service), "{{json .HostConfig.PortBindings}}")) for service in SERVICES
    }
    published = {service: [port for port, at in (ports or {}).items() if at] for service, ports in bindings.items()}

    assert {"triton": [], "proxy": [], "front": ["8080/tcp"]} == published


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_without_root_capabilities_and_a_writable_root(
    composition: tuple[str, Callable[[str], str]], service: str
) -> None:
    _, name = composition
    status = engine("exec", name(service), "cat", "/proc/1/status")
    facts = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)

    assert ["10001"] * 4 == facts["Uid"].split()
    assert ("0000000000000000", "0000000000000000") == (facts["CapEff"], facts["CapBnd"])
    assert "1" == facts["NoNewPrivs"].strip()
    assert "Read-only file system" in engine("exec", name(service), "touch", "/etc/x", check=False, both=True)
    assert int(inspect(name(service), "{{.HostConfig.Memory}}")) > 0
    assert int(inspect(name(service), "{{.HostConfig.PidsLimit}}")) > 0


def test_only_the_proxy_reaches_triton(composition: tuple[str, Callable[[str], str]]) -> None:
    _, name = composition
    (address,) = json.loads(inspect(name("triton"), "{{json .NetworkSettings.Networks}}")).values()
    knock = f"exec 3<>/dev/tcp/{address['IPAddress']}/8000 && echo reached"

    assert "reached" == engine("exec", name("proxy"), "bash", "-c", knock)
    assert "reached" not in engine("exec", name("front"), "timeout", "5", "bash", "-c", knock, check=False)


@pytest.mark.parametrize(
    "path", ["/metrics", "/v1/metrics", "/%6detrics", "/./metrics", "//metrics", "/health/../metrics"]
)
def test_the_metrics_are_not_public(composition: tuple[str, Callable[[str], str]], path: str) -> None:
    url, _ = composition

    assert b"404" == raw(url, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).split()[1]


def test_a_header_that_is_not_there_in_time_ends_the_connection(composition: tuple[str, Callable[[str], str]]) -> None:
    url, _ = composition
    started_s = time.monotonic()

    answer = raw(url, b"POST /analyze HTTP/1.1\r\nHost: x\r\n")

    assert b"408" == answer.split()[1]
    assert 9 < time.monotonic() - started_s < 20


def raw(url: str, request: bytes) -> bytes:
    """Send bytes and read until the other side closes."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_restart_of_triton_under_load_is_answered_by_503_and_then_by_masks(
    composition: tuple[str, Callable[[str], str]],
) -> None:
    url, name = composition
    with load(url) as counted:
        wait_until(lambda: counted[200] >= 20, timeout_s=300)
        started_s = time.monotonic()
        engine("restart", "--time", "30", name("triton"))
        before = counted[200]
        wait_until(lambda: counted[200] >= before + 20, timeout_s=300)
        FIGURES["restart of Triton until 20 more masks"] = f"{time.monotonic() - started_s:.1f} s"

    FIGURES["statuses around the restart"] = str(dict(counted))
    assert counted[200] >= 40
    assert set(counted) <= {200, 503}


@pytest.mark.parametrize("service", ["proxy", "triton"])
def test_a_service_that_ends_is_started_again(composition: tuple[str, Callable[[str], str]], service: str) -> None:
    url, name = composition
    ended = inspect(name(service), "{{.State.StartedAt}}")

    engine("exec", name(service), "python", "-c", "import os; os.kill(1, 15)")
    wait_until(lambda: ended != inspect(name(service), "{{.State.StartedAt}}"), timeout_s=60)

    ready_after_s(url, time.monotonic())
    wait_until(lambda: 200 == post(url, SAMPLES[0].read_bytes())[0], timeout_s=10)  # the other proxy sees it later


# Debian's, as the front proxy's base is. The command is its options, as with Prometheus' own image.
PROMETHEUS = """
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["prometheus"]
"""


def test_prometheus_counts_each_request_once(tmp_path: Path) -> None:
    """Figure: one target for each of two proxies and for Triton; 10 requests are counted as 10."""
    (tmp_path / "Dockerfile").write_text(PROMETHEUS)
    more = shlex.split(os.environ.get("CONTAINER_BUILD", ""))
    engine("build", *more, "-t", "test-prometheus", str(tmp_path))
    project, port, own = f"test{uuid.uuid4().hex[:8]}", free_port(), free_port()
    overlay = ("-f", str(ROOT / "deploy/compose/observability.yaml"))
    options = {"PORT": str(port), "PROMETHEUS_PORT": str(own), "PROMETHEUS_IMAGE": "test-prometheus"}
    options["GRAFANA_PASSWORD"] = "not-started"  # noqa: S105 - Grafana isn't started here

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{own}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)["data"]

    def counted() -> float:
        query = urllib.parse.quote('sum(proxy_requests_total{route="/analyze"})')
        return sum(float(row["value"][1]) for row in ask(f"query?query={query}")["result"])

    try:
        compose(
            project,
            *overlay,
            "up",
            "--detach",
            "--scale",
            "proxy=2",
            "triton",
            "proxy",
            "front",
            "prometheus",
            **options,
        )
        url = f"http://127.0.0.1:{port}"
        ready_after_s(url, time.monotonic())
        for sample in SAMPLES[:10]:
            assert 200 == post(url, sample.read_bytes())[0]
        wait_until(lambda: counted() >= 10, timeout_s=120)
        time.sleep(15)  # more than a scrape's interval: a second count of the same proxy would be there by now
        total = counted()
        jobs = Counter(target["labels"]["job"] for target in ask("targets")["activeTargets"])
    finally:
        compose(project, *overlay, "down", "--volumes", "--remove-orphans", **options)  # the second proxy, for podman
    assert project not in engine("ps", "--all", "--format", "{{.Names}}")

    assert {"proxy": 2, "triton": 1, "prometheus": 1} == jobs
    assert 10 == total


def is_asked(name: str) -> bool:
    """Whether the proxy in this container has answered the page."""
    metrics = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
    return 'route="/",status="200"' in engine("exec", name, "python", "-c", metrics, check=False)


@pytest.fixture
def front() -> Iterator[tuple[str, list[str]]]:
    """A front proxy's address, and the options of containers that it takes for proxies."""
    url, name = f"http://127.0.0.1:{(port := free_port())}", f"test-{uuid.uuid4().hex[:8]}"
    options = [f"--network={name}", "-e", "PROXY_ADDRESS=proxies:8080", "-p", f"127.0.0.1:{port}:8080", *HARDENED]
    engine("network", "create", name)
    try:
        with container("magnetic-tiles-front", *options):
            yield url, [f"--network={name}", "--network-alias=proxies", *HARDENED]
    finally:
        engine("network", "rm", "--force", name)


def test_a_proxy_that_ends_beside_another_one_fails_no_request(front: tuple[str, list[str]]) -> None:
    url, options = front
    with (
        container("magnetic-tiles-proxy", *options) as staying,
        container("magnetic-tiles-proxy", *options) as leaving,
        get(url) as counted,
    ):
        wait_until(lambda: is_asked(staying) and is_asked(leaving), timeout_s=60)
        counted.clear()  # until the front proxy had found them
        engine("stop", "--time", "30", leaving)
        before = counted[200]
        wait_until(lambda: counted[200] >= before + 200, timeout_s=60)

    assert {200} == set(counted), counted


BREAKS_OFF = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health/live":
            self.send_response(200)
            self.end_headers()
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


def test_a_proxy_that_breaks_off_is_told_as_a_problem_document(front: tuple[str, list[str]]) -> None:
    url, options = front
    with container("magnetic-tiles-proxy", *options, command=("python", "-c", BREAKS_OFF)):
        wait_until(lambda: answers(f"{url}/health/live"), timeout_s=60)

        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(url, timeout=30)

    with refusal.value as answer:
        assert (502, "application/problem+json") == (answer.code, answer.headers["Content-Type"])
        assert 502 == json.load(answer)["status"]


@contextmanager
def get(url: str) -> Iterator[Counter]:
    """Ask a URL again and again until the end of the `with` block; statuses counted."""
    stop, counted = threading.Event(), Counter()

    def client() -> None:
        while not stop.wait(0.01):
            try:
                with urllib.request.urlopen(url, timeout=30) as answer:
                    counted[answer.status] += 1
            except urllib.error.HTTPError as error:
                with error:
                    counted[error.code] += 1
            except OSError:
                counted[0] += 1

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client)
        try:
            yield counted
        finally:
            stop.set()
    running.result()


@pytest.mark.parametrize("overlay", ["gpu", "tls", "observability", "benchmark", "s3"])
def test_an_overlay_is_valid_and_refuses_to_go_without_what_it_needs(overlay: str) -> None:
    files = (
        [f"deploy/compose/{overlay}.yaml"] if overlay == "s3" else ["compose.yaml", f"deploy/compose/{overlay}.yaml"]
    )
    command = [*COMPOSE, *(word for file in files for word in ("-f", file)), "config"]
    needed = NEEDED.get(overlay, {})
    bare = {name: value for name, value in os.environ.items() if name not in needed}

    def config(environment: dict[str, str]) -> subprocess.CompletedProcess:
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    valid = config(bare | needed)
    assert 0 == valid.returncode, valid.stderr
    for name in needed:
        without = config({**bare, **{other: value for other, value in needed.items() if other != name}})
        assert without.returncode != 0
        assert f"set {name}" in without.stderr or f"and {name}" in without.stderr


def test_a_port_in_use_is_told_by_the_engine() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["run", "--rm", "-p", f"127.0.0.1:{port}:8080", "magnetic-tiles-front", "true"]
        ended = subprocess.run([ENGINE, *words], capture_output=True, text=True, check=False)

    assert ended.returncode != 0
    assert "in use" in ended.stderr or "already allocated" in ended.stderr
