"""Names of temporary files that tell whether their owner lives: each has a lock file, and the kernel frees its lock.

    with lease(["/tmp", "/dev/shm"], "inference_server") as name:  # an owner, for as long as it lives
        Path("/tmp", name).mkdir()

Whatever begins with the name is removed at the end. Where the owner was killed, the next `lease` removes it.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from host.guard import Guard, remove_all


@contextmanager
def lease(folders: Sequence[Path], prefix: str, guard: Guard | None = None) -> Iterator[str]:
    """Remove what dead owners left in these folders, then give a name that nobody else uses in them.

    A guard removes what the name stands for even if nobody ever starts again.

    Raises: OSError where a folder cannot be written to.
    """
    folders = list({folder.resolve(): folder for folder in folders}.values())  # a second lock of one file would wait
    for folder in folders:
        remove_abandoned(folder, prefix)
    name = f"{prefix}-{secrets.token_hex(8)}"
    with ExitStack() as held:
        for folder in folders:
            if guard is not None:
                guard.tell_leftovers(folder, name)
            held.callback(os.close, _locked(folder / f"{name}.lock"))
            held.callback(remove_all, folder, name)
        yield name


def _locked(path: Path) -> int:
    """Create and lock a file; again where somebody took it for abandoned in between."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove what owners of this user left in the folder; an owner lives as long as its lock is held."""
    for path in folder.glob(f"{prefix}-*.lock"):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # another user's, or it has just been removed
            continue
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_all(folder, path.stem)
        except BlockingIOError:
            continue  # its owner lives
        finally:
            os.close(descriptor)
