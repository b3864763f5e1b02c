"""A small process that outlives this one only to end and remove what it leaves behind, however it dies.

The kernel's PR_SET_PDEATHSIG reaches only direct children. Triton starts processes of its own, so the guard ends whole
process groups. It holds one end of a pipe and wakes when the other end is closed, which no death can prevent. It has
no parent among our processes and ignores stop signals, so that whoever kills our whole tree does not kill the guard.

    guard = Guard()
    guard.tell_group(pid)          in the new child itself, before it runs its program: no moment is left out
    guard.tell_ended(pid)          once the group is empty; its number may soon belong to somebody else
    guard.tell_leftovers(folder, name)
    guard.close()                  returns when the guard has ended
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

GONE_S = 3.0  # that the killed processes get to disappear before their files are removed
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from host.guard import become_guard; become_guard(int(sys.argv[2]))"
)
PIECE = 4096  # bytes, PIPE_BUF: a write of at most so many is one piece, whoever writes beside it


class Guard:
    """The end of the pipe that keeps the guard asleep."""

    def __init__(self) -> None:
        told, self._tell = os.pipe()
        self._over, over = os.pipe()
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", PROGRAM, str(Path(__file__).parent.parent), str(told)],
            pass_fds=(told, over),
            check=True,
            timeout=60,
        )
        os.close(told)
        os.close(over)

    def tell_group(self, pid: int) -> None:
        """Have this process group killed when this process has ended; also for a `preexec_fn`."""
        self._write(f"group {pid}\n")

    def tell_ended(self, pid: int) -> None:
        """Forget a process group."""
        self._write(f"ended {pid}\n")

    def tell_leftovers(self, folder: Path, name: str) -> None:
        """Have all files and folders whose names begin with `name` removed from the folder at the end."""
        line = f"remove {folder}/{name}\n"
        if len(line.encode()) > PIECE:
            raise ValueError(f"the path {folder} is too long")
        self._write(line)

    def _write(self, line: str) -> None:
        with suppress(BrokenPipeError):  # the guard was killed: nothing is guarded any more, but the service goes on
            os.write(self._tell, line.encode())

    def close(self) -> None:
        """Wake the guard, and wait until it has ended."""
        os.close(self._tell)
        os.read(self._over, 1)  # nobody writes: it returns when the guard's end is closed
        os.close(self._over)


def remove_all(folder: Path, name: str) -> None:
    """Remove what begins with this name from the folder, and then its lock.

    Where something cannot be removed the lock stays, by which the next start finds it and tries again.
    """
    lock = folder / f"{name}.lock"
    others = set(folder.glob(f"{name}*")) - {lock}
    for path in others:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    if not any(map(os.path.lexists, others)):
        with suppress(OSError):
            lock.unlink(missing_ok=True)


def _watch(told: int) -> None:
    groups: set[int] = set()
    leftovers: list[Path] = []
    with open(told, "rb") as lines:
        for line in lines:
            word, _, value = os.fsdecode(line.rstrip(b"\n")).partition(" ")
            if word == "group":
                groups.add(int(value))
            elif word == "ended":
                groups.discard(int(value))
            else:
                leftovers.append(Path(value))
    for group in groups:
        _end(group)
    for path in leftovers:
        remove_all(path.parent, path.name)


def _end(group: int) -> None:
    deadline_s = time.monotonic() + GONE_S
    with suppress(ProcessLookupError, PermissionError):  # raised as soon as the group is empty
        while time.monotonic() < deadline_s:
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.02)


def become_guard(told: int) -> None:
    """Leave this process's family and watch the descriptor `told`; the guard's own process runs this."""
    if os.fork():
        os._exit(0)  # so that the guard is nobody's child
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")  # holds no folder that somebody wants to remove
    _watch(told)
