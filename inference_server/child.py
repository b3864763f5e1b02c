"""A child process in a group of its own, and how to wait for it or for a signal without polling.

Whatever can be waited for has a `fileno()` that becomes readable when it happens, as `select` needs it.
"""

import atexit
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Protocol

from host.guard import Guard
from host.processes import killed_with_parent

ORPHANS_S = 1.0  # that a dead process's children get to end by themselves


@cache
def guard() -> Guard:
    """Return the one guard of this process; it ends all children and removes their files if this process is killed."""
    started = Guard()
    atexit.register(started.close)
    return started


class Waitable(Protocol):
    """Something that `select` can wait for."""

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when it has happened."""


class Child:
    """A running child process; its `fileno()` becomes readable when it ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        try:
            self._descriptor = os.pidfd_open(process.pid)
        except OSError:  # there are no more descriptors: a process that nobody can wait for must not run on
            self.kill()
            process.wait()
            self._end_group()
            raise

    @property
    def pid(self) -> int:
        """Return the process id, which is its group's id too."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Return the exit status, or the negative number of the signal that ended it; None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> IO[str]:
        """Return its output, standard output and error together."""
        if self._process.stdout is None:
            raise ValueError("the child was started without capture=True")
        return self._process.stdout

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the process ends."""
        return self._descriptor

    def kill(self) -> None:
        """End the process at once, but not its children."""
        self._process.kill()

    def end(self, grace_s: float) -> int:
        """Ask the process to end, wait up to `grace_s` seconds, then kill the rest of its group; return its status."""
        self._process.terminate()  # not its group: it ends its own children in its own order
        if first_of([self], timeout_s=grace_s) is None:
            self.kill()
        os.close(self._descriptor)
        status = self._process.wait()
        self._end_group()
        return status

    def _end_group(self) -> None:
        """Give the children of a process that died a moment to notice and clean up, then kill them."""
        deadline_s = time.monotonic() + ORPHANS_S
        with suppress(ProcessLookupError):  # raised as soon as the group is empty
            while time.monotonic() < deadline_s:
                self._reap()
                os.killpg(self.pid, 0)
                time.sleep(0.05)
            os.killpg(self.pid, signal.SIGKILL)
        self._reap()
        guard().tell_ended(self.pid)

    def _reap(self) -> None:
        """Take note of the ended children of a process that died: in a container they become those of this process."""
        with suppress(ChildProcessError):
            while os.waitpid(-self.pid, os.WNOHANG) != (0, 0):
                continue


@contextmanager
def child(
    command: Sequence[str | Path],
    *,
    grace_s: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    capture: bool = False,
) -> Iterator[Child]:
    """Run a command; at the end of the `with` block end it and its whole group.

    The command has a group of its own, so that Ctrl-C in a terminal reaches only this process, which decides who ends
    first. However this process (strictly: the calling thread) ends, nothing of the group outlives it.
    """
    process = Child(
        subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.STDOUT if capture else None,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=killed_with_parent(guard().tell_group),  # noqa: PLW1509  system calls that take no lock,
            encoding="utf-8",
        )
    )
    try:
        yield process
    finally:
        process.end(grace_s)


def first_of(waited_for: Sequence[Waitable], *, timeout_s: float | None = None) -> Waitable | None:
    """Wait until one of these happens and return it; return None when the time is over."""
    readable, _, _ = select.select(waited_for, [], [], timeout_s)
    return readable[0] if readable else None


@contextmanager
def stop_signals() -> Iterator[socket.socket]:
    """Turn SIGTERM, SIGINT and SIGHUP into something that can be waited for; a second signal changes nothing.

    Only in the main thread. SIGHUP (the terminal was closed) stays ignored under `nohup`.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    asked, waker = socket.socketpair()
    waker.setblocking(False)
    old_handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
    old_waker = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    try:
        yield asked
    finally:
        signal.set_wakeup_fd(old_waker)
        for number, handler in old_handlers.items():
            signal.signal(number, handler)
        asked.close()
        waker.close()
