"""What the reader of a layout finds in a folder, and notes of what a person must know."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.dataset.index import FREE
from training.errors import DatasetError
from training.own_data.matching import Matching, Name

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp")
TABLE = "table.csv"  # what the command writes into the folder; its reader leaves these out
SHEET = "table.png"
MASKS = "table.masks"
WRITTEN = (TABLE, SHEET, MASKS)
HIDDEN = re.compile(r"^(\.|__MACOSX$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
FREE_WORDS = {"free", "good", "ok", "okay", "normal", "none", "sound", "no defect", "defect free", "non defective"}
DEFECT = "Defect"  # where a layout names no types
BACKGROUND = {"background", "_background_", "__ignore__"}  # labels of what is no defect
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)  # what a file of another structure causes


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
        """Note a file about which something was assumed."""
        self.decided[what].append(str(name))


class Photographs:
    """All image files of a folder, and how annotations name them."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self.folder = folder
        self.paths = [path for path in files(folder) if _is_image(path, notes, folder)]
        self._notes = notes
        self._unused = dict.fromkeys(self.paths)

    def match(self, names: Iterable[tuple[str, Path | None]]) -> list[Path | None]:
        """Return the file that annotations call so, for each name; each file is taken once.

        None, and a note, where there is none. names: each with the file of its annotations, or None if it does not
        matter where that is.
        """
        asked = [Name(text, file) for text, file in names]
        matching = Matching(self.folder, self.paths, asked)
        for number, name in enumerate(asked):
            if number in matching.refused:
                self._notes.skip(matching.refused[number], name.text)
            else:
                del self._unused[matching.found[number]]
        for number in matching.moved:
            self._notes.decide(
                f"in another folder than the annotations say: are these the same photographs? See {SHEET}",
                asked[number].text,
            )
        return [matching.found.get(number) for number in range(len(asked))]

    def unused(self) -> list[Path]:
        """Return the photographs that were not taken."""
        return list(self._unused)

    def note_unused(self) -> None:
        """Note every photograph that was not taken."""
        for path in self._unused:
            self._notes.skip("not in the annotations", path.relative_to(self.folder).as_posix())


def files(folder: Path) -> Iterator[Path]:
    """Give every file below the folder in order, without hidden ones and those that the command writes.

    Raises: DatasetError, when a name is not UTF-8: the table is.
    """
    for path in sorted(_below(folder)):
        parts = path.relative_to(folder).parts
        if path.is_file() and parts[0] not in WRITTEN and not any(HIDDEN.match(part) for part in parts):
            _refuse_other_encoding(path)
            yield path


def _refuse_other_encoding(path: Path) -> None:
    name = os.fsencode(path)
    try:
        name.decode()
    except UnicodeDecodeError:
        raise DatasetError(
            f"{name.decode(errors='backslashreplace')}: the file's name is not in UTF-8: rename it (the program convmv "
            "renames all files of a folder)"
        ) from None


def _below(folder: Path) -> Iterator[Path]:
    """Give every file below the folder, also in folders that are links; none twice where a link leads back."""
    seen = set()
    for at, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(at)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(at, name) for name in names)


def is_image(path: Path) -> bool:
    """Return whether a file's suffix, in any case, is of an image that is read."""
    return path.suffix.lower() in SUFFIXES


def _is_image(path: Path, notes: Notes, folder: Path) -> bool:
    if is_image(path):
        return True
    if path.suffix.lower() not in {".json", ".xml", ".txt"}:
        notes.skip("no JPEG, PNG, TIFF or BMP: convert it if it is a photograph", path.relative_to(folder).as_posix())
    return False


def unless_unreadable(found: Iterator[Found], image: Path, notes: Notes) -> Iterator[Found]:
    """Give a photograph as its annotation says; skip it, with a note, if the annotation cannot be read."""
    try:
        yield from found
    except UNREADABLE as error:
        notes.skip(f"its annotation cannot be read ({error!r}): correct it, and export it again", image.name)


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
