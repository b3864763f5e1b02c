"""However Triton or its launcher ends: no process, no shared memory and no folder is left behind."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Service, StartTriton, Triton, command_name, descendants, runs, wait_until
from doubler import write_model

from tests.ports import free_port


def family(triton: Triton) -> tuple[int, list[int]]:
    """tritonserver's process id, and those of all that it and its launcher started."""
    processes = descendants(triton.pid)
    (server,) = (pid for pid in processes if command_name(pid) == "tritonserver")
    assert len(processes) >= 2, "at least tritonserver and one stub"
    return server, processes


def shared_memory_of(processes: list[int]) -> list[Path]:
    words = [word for pid in processes for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    return [Path("/dev/shm", word) for word in words if "_shm_region_" in word]  # noqa: S108


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_ends_all_processes_with_status_0(
    start_triton: StartTriton, tmp_path: Path, number: signal.Signals
) -> None:
    triton = start_triton(write_model(tmp_path / "models"))
    _, processes = family(triton)
    shared_memory = shared_memory_of(processes)
    assert all(region.exists() for region in shared_memory)

    assert 0 == triton.stop(number), triton.said
    assert [] == [pid for pid in processes if runs(pid)]
    assert [] == [region for region in shared_memory if region.exists()]


def test_a_killed_tritonserver_takes_its_stubs_and_its_launcher_along(
    start_triton: StartTriton, tmp_path: Path
) -> None:
    triton = start_triton(write_model(tmp_path / "models"))
    server, processes = family(triton)
    shared_memory = shared_memory_of(processes)

    os.kill(server, signal.SIGKILL)

    assert 1 == triton.process.wait(20)
    assert "Triton, or one of its instances, ended by itself" in triton.said
    assert [] == [pid for pid in processes if runs(pid)]
    assert [] == [region for region in shared_memory if region.exists()]


def test_a_server_that_lost_a_stub_ends_rather_than_answer_with_errors(
    start_triton: StartTriton, tmp_path: Path
) -> None:
    triton = start_triton(write_model(tmp_path / "models"), MODEL_INSTANCES="2")
    server, processes = family(triton)
    shared_memory = shared_memory_of(processes)

    os.kill(next(pid for pid in processes if pid != server), signal.SIGKILL)

    assert 1 == triton.process.wait(20)
    assert [] == [pid for pid in processes if runs(pid)]
    assert [] == [region for region in shared_memory if region.exists()]


def test_a_stub_ends_with_a_killed_tritonserver_even_where_the_launcher_is_stopped(
    start_triton: StartTriton, tmp_path: Path
) -> None:
    triton = start_triton(write_model(tmp_path / "models"))
    server, processes = family(triton)

    triton.process.send_signal(signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not any(runs(pid) for pid in processes), timeout_s=10)
    triton.process.send_signal(signal.SIGCONT)

    assert 1 == triton.process.wait(20)


def test_a_killed_launcher_takes_all_processes_along(start_triton: StartTriton, tmp_path: Path) -> None:
    triton = start_triton(write_model(tmp_path / "models"), TMPDIR=str(tmp_path))
    _, processes = family(triton)
    shared_memory = shared_memory_of(processes)

    triton.process.kill()
    wait_until(lambda: not any(runs(pid) for pid in processes), timeout_s=20)

    assert [] == [region for region in shared_memory if region.exists()]


def test_a_stop_signal_while_it_starts_leaves_nothing_behind(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    ports = {"TRITON_HTTP_PORT": str(free_port()), "TRITON_METRICS_PORT": str(free_port())}
    service = start_service("inference_server", MODEL_REPOSITORY=str(write_model(tmp_path / "models")), **ports)
    wait_until(lambda: bool(descendants(service.pid)), service)
    processes = descendants(service.pid)

    assert 0 == service.stop(), service.said
    assert [] == [pid for pid in processes if runs(pid)]
