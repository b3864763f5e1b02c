"""What a child process does before it runs its program."""

import ctypes
import os
import signal
from collections.abc import Callable

LIBC = ctypes.CDLL(None)  # loaded here: a forked child should not load anything
PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when the thread that started it ends; a `preexec_fn`."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def killed_with_parent(tell: Callable[[int], None]) -> Callable[[], None]:
    """Return a `preexec_fn`: the kernel kills the child when the thread that started it ends, even before this.

    `tell` gets the child's process id, before the child runs its program.
    """
    parent = os.getpid()

    def prepare() -> None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the kernel was asked
            os._exit(1)
        # The guard may have ended, and `subprocess` has restored SIGPIPE, which would end this child
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        tell(os.getpid())
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    return prepare
