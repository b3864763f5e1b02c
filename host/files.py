"""Files and folders that appear whole or not at all: written beside their place, then renamed."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write a file to; rename it at the end, or remove it where the block fails."""
    aside = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    aside.replace(path)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path` to fill; it takes the place of `path` at the end.

    What an interrupted run left beside it is removed first.
    """
    aside = path.with_name(f"{path.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    yield aside
    shutil.rmtree(path, ignore_errors=True)
    aside.replace(path)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text is UTF-8."""
    with replacing(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
