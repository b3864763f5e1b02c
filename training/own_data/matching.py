"""Names in annotations → the photographs that they mean: by the surest sign first, and never by chance."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SECOND = "annotated a second time: keep one"
SEVERAL_FILES = "named in the annotations, but several files have this name: name their folders in the annotations"
SEVERAL_NAMES = "named in the annotations, but several names may mean the same file: name its folder in each"
MISSING = "named in the annotations, but it is not there"


@dataclass(frozen=True)
class Name:
    """How annotations call a photograph.

    Attributes:
        text: as it is written.
        file: the annotations; None if they tell nothing about where the photograph is.
    """

    text: str
    file: Path | None

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the path's parts in lower case."""
        return PurePosixPath(self.text.replace("\\", "/").lower()).parts or ("",)

    def is_below(self, path: Path) -> bool:
        """Return whether a file lies below the annotations' folder."""
        return self.file is not None and self.file.parent in path.parents


class Matching:
    """Assigns one photograph of a folder to each name.

    Attributes:
        found: {place of the name: its photograph}.
        refused: {place of the name: why it has none}.
        moved: the places of names whose folder is another one than the photograph's.
    """

    def __init__(self, folder: Path, paths: Sequence[Path], names: Iterable[Name]) -> None:
        self.found: dict[int, Path] = {}
        self.refused: dict[int, str] = {}
        self.moved: list[int] = []
        self._folder = folder
        self._folders = {inner for path in paths for inner in path.relative_to(folder).parents[:-1]}
        self._free: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            self._free[path.name.lower()].append(path)
        self._beside: set[Path] = set()  # the folders of annotations that lie beside their photographs
        self._in_place = False  # whether photographs are in the folders that names say
        self._names = list(names)
        for rule in (self._exact, self._of_one_stem, self._deep, self._by_name):
            self._apply(rule)
        for number, name in self._left():
            self.refused[number] = SEVERAL_FILES if len(self._by_name(name)) > 1 else MISSING

    def _left(self) -> list[tuple[int, Name]]:
        return [pair for pair in enumerate(self._names) if pair[0] not in self.found and pair[0] not in self.refused]

    def _apply(self, rule: Callable[[Name], list[Path]]) -> None:
        """Let each name take the one file that a rule finds; of several the first, if they surely mean the same."""
        claims: dict[Path, list[int]] = defaultdict(list)
        for number, name in self._left():
            if len(files := rule(name)) == 1:
                claims[files[0]].append(number)
        for path, (first, *others) in claims.items():
            alike = {self._names[number] for number in (first, *others)}
            if others and rule != self._exact and (len(alike) > 1 or self._names[first].file is None):
                self.refused |= dict.fromkeys((first, *others), SEVERAL_NAMES)
                continue
            self.refused |= dict.fromkeys(others, SECOND)
            self._take(first, path)
            parts = self._names[first].parts
            elsewhere = rule == self._deep and not _agree(path.relative_to(self._folder), parts)
            if elsewhere or (rule == self._by_name and len(parts) > 1):
                self.moved.append(first)
        if rule == self._deep:
            self._in_place = any(len(self._names[number].parts) > 1 for number in self.found)

    def _take(self, number: int, path: Path) -> None:
        self.found[number] = path
        self._free[path.name.lower()].remove(path)
        if (file := self._names[number].file) and file.parent == path.parent:
            self._beside.add(file.parent)

    def _exact(self, name: Name) -> list[Path]:
        """Find the file to which the name leads from its annotations, or else from the folder."""
        for start in (name.file and name.file.parent, self._folder):
            wanted = start and os.path.normpath(start.joinpath(*name.parts)).lower()
            if exact := [path for path in self._free[name.parts[-1]] if os.path.normpath(path).lower() == wanted]:
                return exact
        return []

    def _of_one_stem(self, name: Name) -> list[Path]:
        """Find a file beside annotations that are called like it, whatever folder they name."""
        if name.file is None or name.file.stem.lower() != PurePosixPath(name.parts[-1]).stem:
            return []
        return [path for path in self._free[name.parts[-1]] if path.parent == name.file.parent]

    def _deep(self, name: Name) -> list[Path]:
        """Find the files that share the longest end with the name, a folder at least.

        Find none if the next folder of the name is there: then it is there without this file.
        """
        shared = {path: _common(path, name.parts) for path in self._free[name.parts[-1]]}
        longest = max(shared.values(), default=0)
        best = [path for path, common in shared.items() if common == longest > 1]
        outer = name.parts[:-longest]
        holding = {folder for path in best for folder in path.relative_to(self._folder).parents}
        if best and outer and any(_agree(folder, outer) for folder in self._folders - holding):
            return []
        below = [path for path in best if name.is_below(path)]
        return below if len(best) > 1 and below else best

    def _by_name(self, name: Name) -> list[Path]:
        """Find the files of this name, unless it should be in a folder that is there; or all may have been moved."""
        files = self._free[name.parts[-1]]
        if len(name.parts) > 1:
            is_there = any(folder.name.lower() == name.parts[-2] for folder in self._folders)
            return [] if self._in_place or is_there else files
        if name.file and name.file.parent in self._beside:
            return []
        below = [path for path in files if name.is_below(path)]
        return below if len(files) > 1 and below else files


def _agree(path: Path, parts: tuple[str, ...]) -> bool:
    """Return whether one of two paths is the other's end."""
    return _common(path, parts) == min(len(path.parts), len(parts))


def _common(path: Path, parts: tuple[str, ...]) -> int:
    """Return how many parts two paths share at their ends."""
    pairs = zip(reversed(path.parts), reversed(parts), strict=False)
    shared = [one.lower() == other for one, other in pairs]
    return shared.index(False) if False in shared else len(shared)
