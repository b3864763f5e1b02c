"""A child process starts and ends whatever happened to its guard, and none runs on that nobody can wait for."""

import errno
import os
import signal
from pathlib import Path

import pytest
from conftest import runs, wait_until
from test_inference_server_end import guards_of

import inference_server.child
from host.guard import Guard
from inference_server.child import child, first_of

SIGPIPE_IS_IGNORED = 1 << (signal.SIGPIPE - 1)  # in SigIgn of /proc/PID/status


def test_where_the_guard_was_killed_children_start_and_end_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    guard = Guard()
    (pid,) = guards_of(tmp_path)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not runs(pid), timeout_s=10)
    monkeypatch.setattr(inference_server.child, "guard", lambda: guard)

    guard.tell_leftovers(tmp_path, "left")
    with child(["cat", "/proc/self/status"], grace_s=5, capture=True) as process:
        (ignored,) = (line.split()[1] for line in process.output if line.startswith("SigIgn"))
        assert first_of([process], timeout_s=10) is process
    process.output.close()
    guard.close()

    assert 0 == process.status
    assert 0 == int(ignored, 16) & SIGPIPE_IS_IGNORED, "a program that writes to a closed pipe ends, as everywhere"


def test_a_child_tells_which_signal_ended_it() -> None:
    with child(["sleep", "600"], grace_s=5) as process:
        assert process.status is None
        process.kill()
        assert first_of([process], timeout_s=10) is process
        assert -signal.SIGKILL == process.status


def test_a_process_that_nobody_can_wait_for_does_not_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def pidfd_open(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", pidfd_open)

    with pytest.raises(OSError, match="Too many open files"), child(["sleep", "600"], grace_s=5):
        pass
    assert [False] == [runs(pid) for pid in started]
