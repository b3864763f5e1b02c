"""What the reader of a layout finds in a folder, and notes of what a person must know."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from training.dataset.index import FREE

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp")
TABLE = "table.csv"  # what the command writes into the folder; its reader leaves these out
SHEET = "table.png"
MASKS = "table.masks"
WRITTEN = (TABLE, SHEET, MASKS)
HIDDEN = re.compile(r"^(\.|__MACOSX$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
FREE_WORDS = {"free", "good", "ok", "okay", "normal", "none", "sound", "no defect", "defect free", "non defective"}
DEFECT = "Defect"  # where a layout names no types


@dataclass(frozen=True)
class Found:
    """A photograph.

    Attributes:
        image: its file.
        defect_type: as the layout names it; None where its mask alone says whether it is a Defect or Free.
        mask: its file, or (H, W) bool if it was drawn from outlines; None if there is none.
    """

    image: Path
    defect_type: str | None
    mask: Path | np.ndarray | None = None


class Notes:
    """What was skipped and what was decided, each with the names of the files that it concerns."""

    def __init__(self) -> None:
        self.skipped: dict[str, list[str]] = defaultdict(list)
        self.decided: dict[str, list[str]] = defaultdict(list)

    def skip(self, why: str, name: object) -> None:
        """Note a file that is left out."""
        self.skipped[why].append(str(name))

    def decide(self, what: str, name: object) -> None:
        """Note a file of which something was assumed."""
        self.decided[what].append(str(name))


class Photographs:
    """All image files of a folder, and how annotations name them."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self.folder = folder
        self.paths = [path for path in files(folder) if _is_image(path, notes, folder)]
        self._notes = notes
        self._unused = dict.fromkeys(self.paths)
        self._folders = {part.lower() for path in self.paths for part in path.relative_to(folder).parts[:-1]}
        self._named: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            self._named[path.name.lower()].append(path)

    def match(self, names: Iterable[tuple[str, Path | None]]) -> Iterator[Path | None]:
        """Give, for each name, the file that annotations call so; each file is taken once.

        None, and a note, if there is none. names: each with its annotations' file, or None if this tells nothing about
        where the photograph is.
        """
        asked = [(name, file and file.parent) for name, file in names]
        claims = Counter(_parts(name)[-1] for name, _ in set(asked))
        for name, beside in asked:
            yield self._take(name, beside, alone=claims[_parts(name)[-1]] == 1)

    def _take(self, name: str, beside: Path | None, *, alone: bool) -> Path | None:
        """Take one file. alone: no other name ends alike, so that a photograph may have been moved."""
        parts = _parts(name)
        found = self._exact(parts, beside) or self._best(parts, beside, alone=alone)
        if len(found) != 1:
            why = "several files have this name: name their folders in the annotations" if found else "it is not there"
            self._notes.skip(f"named in the annotations, but {why}", name)
            return None
        if found[0] not in self._unused:
            self._notes.skip("annotated a second time: keep one", name)
            return None
        del self._unused[found[0]]
        return found[0]

    def _exact(self, parts: tuple[str, ...], beside: Path | None) -> list[Path]:
        """Return the file to which the name leads from its annotations, or else from the folder."""
        for start in (beside, self.folder):
            wanted = start and os.path.normpath(start.joinpath(*parts)).lower()
            if exact := [path for path in self._named[parts[-1]] if os.path.normpath(path).lower() == wanted]:
                return exact
        return []

    def _best(self, parts: tuple[str, ...], beside: Path | None, *, alone: bool) -> list[Path]:
        """Return the files that share the longest end with the name; below the annotations' folder, if several do."""
        files = self._named[parts[-1]]
        longest = max((_common(path, parts) for path in files), default=0)
        best = [path for path in files if _common(path, parts) == longest]
        below = [path for path in best if beside and beside in path.parents]
        if longest == 1 and len(parts) > 1 and (not alone or parts[-2] in self._folders):
            return []  # of a folder that is there, or that another photograph of this name is in
        if len(parts) == 1 and any(path.parent == beside for path in self.paths):
            return []  # it would be there
        if not alone and len(parts) == 1:
            return below
        return below if len(best) > 1 and below else best

    def unused(self) -> list[Path]:
        """Return the photographs that were not taken."""
        return list(self._unused)

    def note_unused(self) -> None:
        """Note every photograph that was not taken."""
        for path in self._unused:
            self._notes.skip("not in the annotations", path.relative_to(self.folder).as_posix())


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/").lower()).parts or ("",)


def _common(path: Path, parts: tuple[str, ...]) -> int:
    """Return how many parts two paths share at their ends."""
    pairs = zip(reversed(path.parts), reversed(parts), strict=False)
    shared = [one.lower() == other for one, other in pairs]
    return shared.index(False) if False in shared else len(shared)


def files(folder: Path) -> Iterator[Path]:
    """Give every file below the folder in order, without hidden ones and those that the command writes."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and parts[0] not in WRITTEN and not any(HIDDEN.match(part) for part in parts):
            yield path


def is_image(path: Path) -> bool:
    """Return whether a file's suffix, in any case, is of an image that is read."""
    return path.suffix.lower() in SUFFIXES


def _is_image(path: Path, notes: Notes, folder: Path) -> bool:
    if is_image(path):
        return True
    if path.suffix.lower() not in {".json", ".xml", ".txt"}:
        notes.skip("no JPEG, PNG, TIFF or BMP: convert it if it is a photograph", path.relative_to(folder).as_posix())
    return False


def from_labels(image: Path, masks: Mapping[str, np.ndarray], notes: Notes) -> Found:
    """Return a photograph of the label that covers most of it, with all labels in its mask.

    Shapes: masks {label: (H, W) bool}.
    """
    if not masks:
        notes.decide(f"without an outline, counts as {FREE}", image.name)
        return Found(image, FREE)
    largest = max(masks, key=lambda label: int(masks[label].sum()))
    if len(masks) > 1:
        notes.decide("shows several types: it has the largest one's, and its mask marks all", image.name)
    return Found(image, largest, np.any(list(masks.values()), axis=0))


def type_name(label: str) -> str:
    """Return the name that data_load.types may have for a label: Free, or letters, digits, spaces, _ and -."""
    if re.sub(r"[ _-]+", " ", label.strip().lower()) in FREE_WORDS:
        return FREE
    plain = unicodedata.normalize("NFKD", label.strip().replace("ß", "ss")).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9 _-]+", "_", plain).strip("_ ")
    return name if name[:1].isalpha() else f"Type {name}".strip()
