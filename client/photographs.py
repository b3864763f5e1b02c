"""Folders and files on the command line → the photographs of a run, with their names, parts and tiles."""

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from client.errors import InputError
from client.journal import FILE
from client.request import check_part

MASKS, OVERLAYS = "masks", "overlays"  # the folders of a run's results
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


@dataclass(frozen=True)
class Photograph:
    """One file to analyse.

    Attributes:
        name: its path below the folder that all files of the run share, with / between folders.
        part, tile: what the run's regular expressions find in the name.
    """

    path: Path
    name: str
    part: str | None = None
    tile: str | None = None


def find_photographs(
    sources: Sequence[Path],
    *,
    out: Path,
    pattern: str = "*",
    part_from: re.Pattern[str] | None = None,
    tile_from: re.Pattern[str] | None = None,
) -> list[Photograph]:
    """Find the images of all folders and the files that are named, sorted by name.

    Nothing below `out` counts, nor do masks and overlays of other runs.
    pattern: of file names in folders, such as `*.jpg`.
    Raises: InputError; OSError, if a folder cannot be read.
    """
    base, results = _shared_folder(sources), _real(out)
    paths = {_absolute(path) for source in sources for path in _files(source, pattern)}
    others = {folder for folder in {path.parent for path in paths} if not _real(folder).is_relative_to(results)}
    kept = sorted(path for path in paths if path.parent in others)
    if not kept:
        raise InputError(f"{', '.join(map(str, sources))}: no image is there outside of --out; name a folder with "
                         f"{', '.join(SUFFIXES)}, and give the results a folder of their own")  # fmt: skip
    names = {path.relative_to(base).as_posix(): path for path in kept}
    parts, tiles = _found(names, part_from, "--part-from"), _found(names, tile_from, "--tile-from")
    for part in parts.values():
        check_part(part)
    return [Photograph(path, name, parts.get(name), tiles.get(name)) for name, path in names.items()]


def _shared_folder(sources: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([_absolute(each if each.is_dir() else each.parent) for each in sources]))
    except ValueError:
        raise InputError("the sources lie on different drives: run the command once for each drive") from None


def _absolute(path: Path) -> Path:
    """Return the path without `..`, links as they are: a linked photograph keeps the name that it has here."""
    return Path(os.path.normpath(path.absolute()))


def _real(path: Path) -> Path:
    """Return the path without links."""
    return Path(os.path.realpath(path))


def _files(source: Path, pattern: str) -> Iterator[Path]:
    if not source.is_dir():
        if not source.exists():
            raise InputError(f"{source} does not exist: name a folder of images, or images")
        yield source
        return
    for folder, below, names in os.walk(source, onerror=_refuse):
        results = (MASKS, OVERLAYS) if FILE in names else ()  # another run's: its pictures are no photographs
        below[:] = [name for name in below if name not in results and not name.startswith(".")]
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith(".") and fnmatch.fnmatch(name, pattern):
                yield Path(folder, name)


def _refuse(error: OSError) -> NoReturn:
    raise error


def _found(names: Sequence[str] | dict[str, Path], expression: re.Pattern[str] | None, option: str) -> dict[str, str]:
    """Return what the expression finds in each name: its first group, or all that matches if it has no group."""
    if expression is None:
        return {}
    found = {name: match[min(1, expression.groups)] for name in names if (match := expression.search(name))}
    missing = [name for name in names if not found.get(name)]
    if missing:
        raise InputError(
            f"{option} {expression.pattern!r} finds nothing in {len(missing)} of {len(names)} names, such as "
            f"{missing[0]!r}: correct the expression, or leave these files out"
        )
    return found
