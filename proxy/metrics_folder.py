"""Where the workers write their numbers: a folder of one supervisor, taken away at its end.

A supervisor that is killed takes nothing away. So each holds a lock on its folder, which the kernel frees whatever
happens, and whoever starts next removes the folders that nobody holds.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir, mkdtemp

PREFIX = "proxy-metrics-"


@contextlib.contextmanager
def metrics_folder() -> Iterator[str]:
    """Make a folder until the end of the `with` block, after those that others left behind are gone."""
    for left in Path(gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _held(str(left), fcntl.LOCK_EX | fcntl.LOCK_NB):  # held, or not ours
            shutil.rmtree(left)
    with contextlib.ExitStack() as stack:
        folder = None
        while folder is None or not Path(folder).is_dir():  # another start took it for a left one
            folder = mkdtemp(prefix=PREFIX)
            stack.enter_context(_held(folder, fcntl.LOCK_EX))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


@contextlib.contextmanager
def _held(folder: str, how: int) -> Iterator[None]:
    """Hold a lock on a folder.

    Raises: OSError, where it is not there, not ours or, as `how` may have it, somebody else's.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
