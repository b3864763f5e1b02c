"""Another user than root, to whom files and folders can be closed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def not_root() -> Iterator[None]:
    """Be a user without root's rights in the `with` block."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user reaches; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def closed(path: Path, mode: int = 0) -> Iterator[None]:
    """Close a file or folder to all users but root in the `with` block."""
    path = path.resolve()  # ".." could not be reached through a closed folder
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)
