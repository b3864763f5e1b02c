"""What a child process does before it runs its program."""

import ctypes
import signal

LIBC = ctypes.CDLL(None)  # loaded here: a forked child should not load anything
PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when the thread that started it ends; a `preexec_fn`."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
