"""Settings, the machine's share of cores, and the reason in Triton's log: what needs no server."""

import contextlib
import io
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from host.cores import cpu_quota
from host.memory import memory_kills, memory_limit_bytes
from inference_server.__main__ import _say
from inference_server.errors import SettingError
from inference_server.log import Log, find_reason
from inference_server.run_folder import _make_writable, for_this_machine
from inference_server.settings import Settings
from launch.together import say


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            'E1 backend_model.cc:692] "ERROR: Failed to create: TritonModelException: m: no\\n\\nAt:\\n  a.py(3)"',
            "m: no",
        ),
        ("[libprotobuf ERROR x.cc:337] Error parsing text-format inference.ModelConfig: 4:1: odd", "4:1: odd"),
        (
            "E1 model_lifecycle.cc:642] \"failed to load 'm' version 1: Invalid argument: no GPU\"",
            "Invalid argument: no GPU",
        ),
        ("something new", "something new"),
    ],
)
def test_the_reason_is_found_in_tritons_log(line: str, reason: str) -> None:
    assert reason == find_reason([line, "error: creating server"] if line != reason else [line])


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TRITON_HTTP_PORT", "0"),
        ("TRITON_HTTP_PORT", "http"),
        ("TRITON_METRICS_PORT", "65536"),
        ("MODEL_INSTANCES", "-1"),
        ("MODEL_THREADS", "1.5"),
        ("TRITON_LOG_VERBOSE", "²"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"{variable} is '{value}'"):
        Settings.from_environment({variable: value})


def test_fewer_instances_than_cores_share_the_cores_as_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference_server.settings.usable_cores", lambda: 8)

    shared_out = [
        (settings.instances, settings.threads)
        for settings in (Settings.from_environment(e) for e in ({}, {"MODEL_INSTANCES": "2"}, {"MODEL_INSTANCES": "9"}))
    ]

    assert [(8, 1), (2, 4), (9, 1)] == shared_out


@pytest.mark.parametrize(("mebibytes", "instances"), [(300, 1), (512, 1), (1024, 3), (4096, 8)])
def test_there_are_no_more_instances_than_memory_bears(
    monkeypatch: pytest.MonkeyPatch, mebibytes: int, instances: int
) -> None:
    monkeypatch.setattr("inference_server.settings.usable_cores", lambda: 8)
    monkeypatch.setattr("inference_server.settings.memory_limit_bytes", lambda: mebibytes * 2**20)

    assert instances == Settings.from_environment({}).instances
    assert 3 == Settings.from_environment({"MODEL_INSTANCES": "3"}).instances


def test_what_config_pbtxt_states_of_instances_and_threads_stays() -> None:
    stated = 'instance_group [ { count: 1 } ]\nparameters { key: "intra_op_thread_count" value: { string_value: "5" } }'

    assert "KIND_CPU" not in for_this_machine(stated, 2, 1)
    assert 1 == for_this_machine(stated, 2, 1).count("intra_op_thread_count")
    assert "count: 2" in for_this_machine("# instance_group is written by the launcher", 2, 1)


def write_cgroup(mount: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    return mount


@pytest.mark.parametrize(
    ("cgroups", "files", "quota"),
    [
        pytest.param("0::/\n", {}, float("inf"), id="v2, no limit"),
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="v2, in a container"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, float("inf"), id="v2, max"),
        pytest.param(
            "0::/user.slice/a.service\n",
            {"user.slice/cpu.max": "200000 100000\n", "user.slice/a.service/cpu.max": "max 100000\n"},
            2.0,
            id="v2, the parent's limit",
        ),
        pytest.param(
            "4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n0::/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            0.5,
            id="v1, in a container that shows the host's path",
        ),
        pytest.param(
            "1:cpu:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            float("inf"),
            id="v1, -1 is no limit",
        ),
    ],
)
def test_the_cpu_quota_is_the_smallest_on_the_way_to_the_root(
    tmp_path: Path, cgroups: str, files: dict[str, str], quota: float
) -> None:
    mount = write_cgroup(tmp_path / "cgroup", files)
    (tmp_path / "self").write_text(cgroups)

    assert quota == cpu_quota(tmp_path / "self", mount)


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert float("inf") == cpu_quota(tmp_path / "none", tmp_path)


@pytest.mark.parametrize(
    ("cgroups", "files"),
    [
        pytest.param("0::/\n", {"memory.max": "1048576\n", "memory.events": "max 9\noom_kill 2\n"}, id="v2"),
        pytest.param(
            "4:memory:/docker/abc\n0::/\n",
            {"memory/memory.limit_in_bytes": "1048576\n", "memory/memory.oom_control": "under_oom 0\noom_kill 2\n"},
            id="v1, in a container that shows the host's path",
        ),
    ],
)
def test_the_memory_limit_and_the_kernels_kills_are_the_control_groups(
    tmp_path: Path, cgroups: str, files: dict[str, str]
) -> None:
    mount = write_cgroup(tmp_path / "cgroup", files)
    (tmp_path / "self").write_text(cgroups)

    assert 1048576 == memory_limit_bytes(tmp_path / "self", mount)
    assert 2 == memory_kills(tmp_path / "self", mount)


def test_without_a_limit_there_is_the_machines_memory(tmp_path: Path) -> None:
    mount = write_cgroup(tmp_path / "cgroup", {"memory.max": "max\n"})
    (tmp_path / "self").write_text("0::/\n")

    assert memory_limit_bytes(tmp_path / "none", mount) == memory_limit_bytes(tmp_path / "self", mount) > 2**20
    assert 0 == memory_kills(tmp_path / "self", mount)


def test_of_the_signals_in_tritons_log_only_the_launchers_own_is_left_out() -> None:
    written = io.StringIO()

    Log(io.StringIO("Signal (15) received.\nSignal (11) received.\n"), written, live=True).reason()

    assert "Signal (11) received.\n" == written.getvalue()


@pytest.fixture
def full_disk() -> Iterator[IO[str]]:
    with contextlib.suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as file:
        yield file  # to close it fails, too


def test_a_log_that_cannot_be_written_is_read_to_its_end_and_ends_nobody(
    monkeypatch: pytest.MonkeyPatch, full_disk: IO[str]
) -> None:
    program = "print('a line\\n' * 20_000 + 'error: the reason')"  # more than a pipe holds
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        log = Log(process.stdout, full_disk, live=True)
        assert 0 == process.wait(20)
        assert "the reason" == log.reason()
    monkeypatch.setattr(sys, "stderr", full_disk)
    say("heard by nobody")
    _say("heard by nobody")


def test_copies_of_write_protected_files_can_be_changed_and_removed(tmp_path):
    (tmp_path / "segmenter/1").mkdir(parents=True)
    (tmp_path / "segmenter/1/model.onnx").write_text("x")
    for path, mode in (("segmenter/1/model.onnx", 0o444), ("segmenter/1", 0o555), ("segmenter", 0o555)):
        (tmp_path / path).chmod(mode)
    shutil.copytree(tmp_path / "segmenter", tmp_path / "copy")
    _make_writable(tmp_path / "copy")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "copy").rglob("*")}
    assert {"1": 0o755, "model.onnx": 0o644} == modes
    assert 0o755 == stat.S_IMODE((tmp_path / "copy").stat().st_mode)
