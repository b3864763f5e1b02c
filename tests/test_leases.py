"""What a lease names lives as long as its owner, and no longer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, runs, wait_until

from host import guard as guard_module
from host.guard import Guard
from host.leases import lease, remove_abandoned

OWNER = """
import os, sys, time
from pathlib import Path
from host.leases import lease
with lease([Path(sys.argv[1])], "owner") as name:
    (Path(sys.argv[1]) / name).mkdir()
    (Path(sys.argv[1]) / f"{name}-region").write_text("x")
    print(name, flush=True)
    time.sleep(600)
"""
GUARDED = """
import os, signal, subprocess, sys, time
from host.guard import Guard
from host.processes import killed_with_parent
guard = Guard()
child = subprocess.Popen(
    ["sh", "-c", "sleep 600 & echo $!; wait"],
    stdout=subprocess.PIPE,
    text=True,
    start_new_session=True,
    preexec_fn=killed_with_parent(guard.tell_group),
)
print(f"{child.pid} {child.stdout.readline()}", end="", flush=True)
time.sleep(600)
"""


@contextmanager
def started(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_at_its_end_nothing_of_its_name_is_left(tmp_path: Path) -> None:
    with lease([tmp_path], "owner") as name:
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / f"{name}_region").write_text("x")
        (tmp_path / "another").write_text("x")

    assert ["another"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_that_is_named_twice_is_one(tmp_path: Path) -> None:
    """TMPDIR may be the folder of shared memory, and a second lock of one file would wait for ever."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")

    with lease([tmp_path / "there", tmp_path / "there", tmp_path / "link"], "owner") as name:
        (tmp_path / "there" / name).mkdir()

    assert [] == [*(tmp_path / "there").iterdir()]


def test_what_a_killed_owner_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    with started(OWNER, str(tmp_path)) as dead, started(OWNER, str(tmp_path)) as living:
        names = [process.stdout.readline().strip() for process in (dead, living)]
        dead.kill()
        dead.wait()

        remove_abandoned(tmp_path, "owner")

        assert {names[1], f"{names[1]}-region", f"{names[1]}.lock"} == {path.name for path in tmp_path.iterdir()}


def test_a_lock_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    (tmp_path / "owner-1.lock").symlink_to(tmp_path / "precious")

    remove_abandoned(tmp_path, "owner")

    assert (tmp_path / "precious").exists()
    assert (tmp_path / "owner-1.lock").is_symlink()


def test_what_could_not_be_removed_keeps_its_lock_and_is_removed_by_the_next_owner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as busy:
        busy.setattr(guard_module.shutil, "rmtree", lambda *_, **__: None)
        with lease([tmp_path], "owner") as name:
            (tmp_path / name).mkdir()
            (tmp_path / f"{name}-region").write_text("x")
    assert {name, f"{name}.lock"} == {path.name for path in tmp_path.iterdir()}

    remove_abandoned(tmp_path, "owner")

    assert [] == list(tmp_path.iterdir())


def test_a_guard_ends_what_a_killed_process_started_also_its_grandchildren() -> None:
    with started(GUARDED) as process:
        told = {int(number) for number in process.stdout.readline().split()}
        assert 2 == sum(map(runs, told))

        process.kill()

        wait_until(lambda: not any(map(runs, told)), timeout_s=3)


def test_a_guard_that_is_closed_has_ended_and_ends_no_group_that_it_was_told_to_forget(tmp_path: Path) -> None:
    (tmp_path / "left-1").write_text("x")
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        guard = Guard()
        guard.tell_group(other.pid)
        guard.tell_ended(other.pid)
        guard.tell_leftovers(tmp_path, "left")
        guard.close()

        assert runs(other.pid)
        assert [] == list(tmp_path.iterdir())
        os.kill(other.pid, 9)
