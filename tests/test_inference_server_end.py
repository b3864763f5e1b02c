"""However Triton or its launcher ends: nothing is left behind, and what died or stalled serves again."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Service, StartTriton, Triton, answers, command_name, descendants, runs, wait_until
from doubler import CONFIG, write_model
from test_inference_server import infer

from host.ports import free_port

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where Triton and its stubs exchange tensors
STUB = "triton_python_b"  # as /proc shortens it
PROMPT = re.sub(r"dynamic_batching .*", "dynamic_batching {}", CONFIG)  # a request waits for no others


@dataclass(frozen=True)
class Family:
    """The processes of one Triton."""

    server: int
    stubs: list[int]

    @property
    def all(self) -> list[int]:
        return [self.server, *self.stubs]


def family(service: Service) -> Family:
    names = {pid: command_name(pid) for pid in descendants(service.pid)}
    (server,) = (pid for pid, name in names.items() if name == "tritonserver")
    return Family(server, [pid for pid, name in names.items() if name == STUB])


def guards_of(folder: Path) -> list[int]:
    """The guards of launchers whose temporary folder this is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"host.guard" in (entry / "cmdline").read_bytes() and str(folder) in (entry / "environ").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def left_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("inference_server-*"))


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """A TMPDIR of the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models")


def names_in(temporary: Path) -> set[str]:
    """The names of the run folders of this TMPDIR, with which those of their shared memory begin."""
    return {path.name.split(".")[0] for path in left_in(temporary)}


def in_shared_memory(names: set[str]) -> list[Path]:
    return [path for name in names for path in SHARED_MEMORY.glob(f"{name}*")]


def names_in_shared_memory(temporary: Path) -> list[Path]:
    """What the run folders of this TMPDIR have in shared memory; remember their names before they are removed."""
    return in_shared_memory(names_in(temporary))


def is_ready(triton: Triton) -> bool:
    return answers(f"http://{triton.url}/v2/health/ready")


def start_only(start_service: Callable[..., Service], models: Path, temporary: Path, **env: str) -> Service:
    ports = {"TRITON_HTTP_PORT": str(free_port()), "TRITON_METRICS_PORT": str(free_port())}
    return start_service("inference_server", MODEL_REPOSITORY=str(models), TMPDIR=str(temporary), **ports, **env)


def is_served_again(service: Service, times: int = 1) -> bool:
    return times <= service.said.count("Triton is ready again")


# ── stopped ──


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_ends_all_processes_with_status_0(
    start_triton: StartTriton, models: Path, temporary: Path, number: signal.Signals
) -> None:
    triton = start_triton(models, MODEL_INSTANCES="1", TMPDIR=str(temporary))
    processes, shared = family(triton), names_in_shared_memory(temporary)
    assert [True, True] == [region.exists() for region in shared], "the lock and the region of one stub"

    assert 0 == triton.stop(number), triton.said
    assert [] == [pid for pid in processes.all if runs(pid)]
    assert [] == [region for region in shared if region.exists()]
    assert [] == left_in(temporary)
    assert [] == guards_of(temporary)


@pytest.mark.parametrize("after_s", [0.0, 0.4, 1.0])
def test_a_stop_signal_while_it_starts_leaves_nothing_behind(
    start_service: Callable[..., Service], models: Path, temporary: Path, after_s: float
) -> None:
    service = start_only(start_service, models, temporary)
    wait_until(lambda: bool(descendants(service.pid)), service)
    time.sleep(after_s)

    names = names_in(temporary)
    service.process.terminate()
    wait_until(lambda: bool(names.update(names_in(temporary))) or service.process.poll() is not None)

    assert 0 == service.process.returncode, service.said
    assert [] == processes_of(temporary)
    assert [] == [*left_in(temporary), *in_shared_memory(names)]


# ── died, and started again ──


@pytest.mark.parametrize("died", ["tritonserver", "a stub"])
def test_what_dies_is_started_again(start_triton: StartTriton, models: Path, temporary: Path, died: str) -> None:
    """Pass figure: ready again within 10 s, nothing of the dead one left."""
    triton = start_triton(models, MODEL_INSTANCES="2", TMPDIR=str(temporary))
    before, shared = family(triton), names_in_shared_memory(temporary)
    assert 2 == len(before.stubs)

    os.kill(before.server if died == "tritonserver" else before.stubs[0], signal.SIGKILL)

    wait_until(lambda: is_served_again(triton), triton, timeout_s=10)
    assert "Triton, or one of its instances, ended by itself" in triton.said
    assert is_ready(triton)
    assert [] == [pid for pid in before.all if runs(pid)]
    assert [] == [region for region in shared if region.exists()]
    assert 2 == len(left_in(temporary)), "one run folder and its lock"


def test_where_the_guard_was_killed_what_dies_is_started_again_all_the_same(
    start_triton: StartTriton, models: Path, temporary: Path
) -> None:
    triton = start_triton(models, MODEL_INSTANCES="1", TMPDIR=str(temporary))
    (guard,) = guards_of(temporary)

    os.kill(guard, signal.SIGKILL)
    os.kill(family(triton).server, signal.SIGKILL)

    wait_until(lambda: is_served_again(triton), triton, timeout_s=20)
    assert 0 == triton.stop(), triton.said


def test_as_the_first_process_of_a_container_the_launcher_leaves_no_dead_process_unreaped(
    serving_python: Path, models: Path, temporary: Path
) -> None:
    ports = {"TRITON_HTTP_PORT": str(free_port()), "TRITON_METRICS_PORT": str(free_port())}
    log = temporary.parent / "log"
    words = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]
    environment = os.environ | {"MODEL_REPOSITORY": str(models), "TMPDIR": str(temporary)} | ports
    with log.open("w") as said:
        process = subprocess.Popen(
            [*words, serving_python, "-m", "inference_server"], cwd=ROOT, env=environment, stdout=said, stderr=said
        )
    service = Service(process, log)
    try:
        wait_until(lambda: "Ctrl-C ends it" in service.said, service)
        for times in (1, 2):
            os.kill(family(service).server, signal.SIGKILL)
            wait_until(lambda times=times: is_served_again(service, times), service, timeout_s=20)

        assert [] == [pid for pid in descendants(process.pid) if not runs(pid)]
    finally:
        process.kill()
        process.wait()


def test_what_dies_again_and_again_is_given_up_with_the_number(
    start_triton: StartTriton, models: Path, temporary: Path
) -> None:
    triton = start_triton(models, RESTARTS="2", TMPDIR=str(temporary))
    for times in (1, 2):
        os.kill(family(triton).server, signal.SIGKILL)
        wait_until(lambda times=times: is_served_again(triton, times), triton, timeout_s=20)

    os.kill(family(triton).server, signal.SIGKILL)

    assert 1 == triton.process.wait(20)
    assert triton.said.splitlines()[-1].endswith("It is not started again: that was end number 3 in a row (RESTARTS)")
    assert "(1 of 2)" in triton.said
    assert [] == left_in(temporary)


def test_a_stub_ends_with_a_killed_tritonserver_even_where_the_launcher_is_stopped(
    start_triton: StartTriton, models: Path, temporary: Path
) -> None:
    triton = start_triton(models, TMPDIR=str(temporary))
    processes = family(triton)

    triton.process.send_signal(signal.SIGSTOP)
    os.kill(processes.server, signal.SIGKILL)
    wait_until(lambda: not any(runs(pid) for pid in processes.all), timeout_s=10)
    triton.process.send_signal(signal.SIGCONT)

    wait_until(lambda: is_served_again(triton), triton, timeout_s=10)


# ── stalled ──


@pytest.mark.parametrize("stalled", ["tritonserver", "a stub"])
def test_what_is_stalled_is_not_ready_within_3_s_and_replaced(
    start_triton: StartTriton, tmp_path: Path, temporary: Path, stalled: str
) -> None:
    """Pass figure: the port is closed within 3 s of the stall, the next Triton is ready within 10 s."""
    triton = start_triton(write_model(tmp_path / "prompt", PROMPT), MODEL_INSTANCES="2", TMPDIR=str(temporary))
    before = family(triton)
    time.sleep(1)  # so that the watch is at work

    began_s = time.monotonic()
    os.kill(before.server if stalled == "tritonserver" else before.stubs[1], signal.SIGSTOP)
    wait_until(lambda: not runs(before.server), triton, timeout_s=3)
    wait_until(lambda: is_served_again(triton), triton, timeout_s=10 - (time.monotonic() - began_s))

    assert "Triton is stalled: " in triton.said
    assert [] == [pid for pid in before.all if runs(pid)]


def test_a_launcher_that_stood_still_takes_nothing_for_stalled(
    start_triton: StartTriton, models: Path, temporary: Path
) -> None:
    """Pass figure: after 3 s only the instance's own watchdog ends Triton; ready again within 20 s."""
    triton = start_triton(models, MODEL_INSTANCES="1", TMPDIR=str(temporary))
    time.sleep(1)  # so that the watch is at work
    others = family(triton).all

    for pid in (triton.pid, *others):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3)
    triton.process.send_signal(signal.SIGCONT)
    time.sleep(0.6)  # so that it looks at the others before they run
    for pid in others:
        os.kill(pid, signal.SIGCONT)

    wait_until(lambda: is_served_again(triton), triton, timeout_s=20)
    assert "an answer could be another request's: this process was stopped for" in triton.said
    assert "Triton is stalled" not in triton.said


def test_a_server_that_computes_for_long_is_not_stalled(start_triton: StartTriton, temporary: Path) -> None:
    """Pass figure: 4 images of a megapixel at once on one instance, for 2 s at least: all answered, none restarted."""
    repository = Path(os.environ.get("MODEL_REPOSITORY", ROOT / "model_repository"))
    triton = start_triton(repository, MODEL_INSTANCES="1", TMPDIR=str(temporary))
    image = np.zeros((1, 1, 1024, 1024), np.uint8)

    began_s = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        while time.monotonic() - began_s <= 2:
            found = pool.map(lambda _: infer(triton, "segmenter", {"image": image}, ["type"])[0].shape, range(4))
            assert [image.shape] * 4 == list(found)

    assert "stalled" not in triton.said


# ── killed ──


def test_a_killed_launcher_leaves_nothing(start_triton: StartTriton, models: Path, temporary: Path) -> None:
    """Pass figure: within 2 s no process, no folder, no shared memory."""
    triton = start_triton(models, TMPDIR=str(temporary))
    processes, shared = family(triton), names_in_shared_memory(temporary)
    assert guards_of(temporary)

    triton.process.kill()

    wait_until(lambda: not any(runs(pid) for pid in processes.all), timeout_s=2)
    wait_until(lambda: not guards_of(temporary), timeout_s=2)
    assert [] == [path for path in (*shared, *left_in(temporary)) if path.exists()]


def test_what_a_killed_launcher_and_a_killed_guard_leave_is_removed_by_the_next_start(
    start_triton: StartTriton, models: Path, temporary: Path
) -> None:
    triton = start_triton(models, TMPDIR=str(temporary))
    processes, shared = family(triton), names_in_shared_memory(temporary)
    (guard,) = guards_of(temporary)

    os.kill(guard, signal.SIGKILL)
    triton.process.kill()
    wait_until(lambda: not any(runs(pid) for pid in processes.all), timeout_s=2)
    left = [*left_in(temporary), *(path for path in shared if path.exists())]
    start_triton(models, TMPDIR=str(temporary))

    assert left
    assert [] == [path for path in left if path.exists()]
    assert 2 == len(left_in(temporary)), "those of the one that runs"


def test_a_start_removes_nothing_of_another_that_runs(start_triton: StartTriton, models: Path, temporary: Path) -> None:
    first = start_triton(models, TMPDIR=str(temporary))
    before, shared = left_in(temporary), names_in_shared_memory(temporary)

    second = start_triton(models, TMPDIR=str(temporary))

    assert all(path.exists() for path in (*before, *shared))
    assert 0 == second.stop()
    assert all(path.exists() for path in (*before, *shared))
    assert is_ready(first)


MOMENTS_S = [pytest.param(n / 10, marks=[] if n == 4 else pytest.mark.faults) for n in range(21)]


@pytest.mark.parametrize("after_s", MOMENTS_S)
def test_a_launcher_killed_at_any_moment_of_its_start_leaves_nothing(
    start_service: Callable[..., Service], models: Path, temporary: Path, after_s: float
) -> None:
    """Pass figure: 3 s later there is no process, no folder and no shared memory of it."""
    service = start_only(start_service, models, temporary, MODEL_INSTANCES="2")
    time.sleep(after_s)

    names = names_in(temporary)
    service.process.kill()
    names |= names_in(temporary)  # it may have made one in between

    wait_until(lambda: not processes_of(temporary), timeout_s=3)
    assert [] == left_in(temporary)
    wait_until(lambda: not in_shared_memory(names), timeout_s=3)


def processes_of(temporary: Path) -> list[int]:
    """All whose command line or environment names this TMPDIR."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(temporary).encode() in words and runs(int(entry.name)):
            found.append(int(entry.name))
    return found


def test_a_tritonserver_stopped_under_load_leaves_no_shared_memory(
    start_triton: StartTriton, models: Path, temporary: Path
) -> None:
    triton = start_triton(models, TMPDIR=str(temporary))
    shared = names_in_shared_memory(temporary)

    def ask_until_it_fails() -> None:
        while True:
            try:
                infer(triton, "doubler", {"x": np.ones((4, 100_000), np.float32)}, ["y"])
            except Exception:  # noqa: BLE001  whatever the client raises, it was not answered
                return

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask_until_it_fails) for _ in range(4)]
        time.sleep(1)
        os.kill(family(triton).server, signal.SIGTERM)
        for each in asked:
            each.result(60)

    wait_until(lambda: is_served_again(triton), triton, timeout_s=40)
    assert [] == [path for path in shared if path.exists()]


# ── Triton's environment ──


def test_triton_gets_a_chosen_environment(start_triton: StartTriton, models: Path, temporary: Path) -> None:
    """AIP_MODE would open Triton on 0.0.0.0:AIP_HTTP_PORT; PYTHONPATH would change what the stub imports."""
    port = str(free_port())
    triton = start_triton(
        models, TMPDIR=str(temporary), AIP_MODE="PREDICTION", AIP_HTTP_PORT=port, AIP_HEALTH_ROUTE="/h",
        AIP_PREDICT_ROUTE="/p", PYTHONPATH="/nowhere", AWS_SECRET_ACCESS_KEY="not for Triton",  # noqa: S106
    )  # fmt: skip
    told = [Path(f"/proc/{pid}/environ").read_text().split("\0") for pid in family(triton).all]

    assert not answers(f"http://127.0.0.1:{port}/h")
    for environment in told:
        names = {line.partition("=")[0] for line in environment if line}
        assert not {name for name in names if name.startswith(("AIP_", "AWS_", "PYTHONPATH", "HTTP"))}
        assert "ORT_DISABLE_TELEMETRY" in names
    with urllib.request.urlopen(f"http://{triton.url}/v2/health/live", timeout=10) as response:
        assert 200 == response.status
