"""Alone, an instance computes with the cores of all; beside another, with its own; the bytes are the same."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http
from conftest import ROOT, StartTriton, command_name, descendants
from doubler import write_model

from training.files import CPU_GRAPH_FILE

CANVAS = (1, 1, 416, 352)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "inference_server/backends/onnxruntime")
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: range(64))
    return importlib.import_module("inference_server.backends.onnxruntime.sessions")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_model(tmp_path) / "doubler/1/model.onnx"


@pytest.fixture
def opened(module: Any, graph: Path) -> Iterator[Any]:
    """opened(instances, threads) → the sessions of an instance of the model `graph`, or of another one."""
    made = []

    def open_one(instances: int = 2, threads: int = 1, path: Path = graph) -> Any:
        config = {
            "instance_group": [{"kind": "KIND_CPU", "count": instances}],
            "parameters": {"intra_op_thread_count": {"string_value": str(threads)}},
        }
        made.append(module.Sessions(path, path, config))
        return made[-1]

    yield open_one
    for sessions in made:
        sessions.close()


def threads_of(sessions: Any) -> int:
    with sessions.session() as session:
        return session.get_session_options().intra_op_num_threads


@pytest.mark.parametrize(("instances", "threads", "alone"), [(2, 1, 2), (16, 1, 4), (1, 3, 3), (2, 0, 0), (2, 8, 8)])
def test_alone_it_has_the_threads_of_all_instances_and_four_are_enough(
    opened: Any, instances: int, threads: int, alone: int
) -> None:
    assert alone == threads_of(opened(instances, threads))


def test_alone_it_has_no_more_threads_than_there_are_cores(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: range(2))

    assert [2, 2] == [threads_of(opened(instances, threads)) for instances, threads in ((4, 1), (2, 2))]


def test_onnx_runtime_has_nothing_to_warn_of(opened: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert 2 == threads_of(opened())

    assert ("", "") == capfd.readouterr()


def test_beside_another_one_and_for_three_images_after_it_has_its_own_threads(opened: Any) -> None:
    one, other = opened(), opened()
    with other.session():
        assert 1 == threads_of(one)

    assert [1, 1, 1, 2] == [threads_of(one) for _ in range(4)]
    assert 2 == threads_of(other), "it was alone at its last end"


def test_an_instance_that_was_killed_while_it_computed_counts_no_more(opened: Any, graph: Path) -> None:
    computing = f"import fcntl; f = open({str(graph)!r}); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); input()"
    sessions = opened()
    with subprocess.Popen([sys.executable, "-c", computing], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert 1 == threads_of(sessions)
        other.kill()

    assert [1, 1, 1, 2] == [threads_of(sessions) for _ in range(4)]


def test_without_locks_it_has_its_own_threads(opened: Any, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(module.fcntl, "flock", no_locks)

    assert 1 == threads_of(opened())


def test_the_served_graph_gives_the_same_bytes_with_one_thread_and_with_four(opened: Any) -> None:
    wide, own = opened(4, 1, ROOT / CPU_GRAPH_FILE), opened(1, 1, ROOT / CPU_GRAPH_FILE)
    numbers = np.random.default_rng(0)
    for shape in (CANVAS, (3, 1, 32, 64), (2, 1, 256, 608)):
        image = numbers.integers(0, 256, shape, np.uint8)
        with wide.session() as four, own.session() as one:
            assert (4, 1) == tuple(each.get_session_options().intra_op_num_threads for each in (four, one))
            for found, expected in zip(four.run(None, {"image": image}), one.run(None, {"image": image}), strict=True):
                np.testing.assert_array_equal(expected, found)


def test_one_request_at_a_time_keeps_two_cores_busy(start_triton: StartTriton, served_repository: Path) -> None:
    triton = start_triton(served_repository, MODEL_INSTANCES="2", MODEL_THREADS="1")
    with tritonclient.http.InferenceServerClient(triton.url) as client:
        image = tritonclient.http.InferInput("image", CANVAS, "UINT8")
        image.set_data_from_numpy(np.zeros(CANVAS, np.uint8))
        for _ in range(100):  # of some 8 ms, shared by two instances
            client.infer("segmenter", [image])

    stubs = [pid for pid in descendants(triton.pid) if command_name(pid).startswith("triton_python")]
    busy = [sum(spent_s(thread) > 0.1 for thread in Path(f"/proc/{pid}/task").iterdir()) for pid in stubs]
    assert 2 == len(stubs)
    assert 2 == max(busy)


def spent_s(thread: Path) -> float:
    """Return the processor time of a thread in seconds."""
    return int((thread / "schedstat").read_text().split()[0]) / 1e9
