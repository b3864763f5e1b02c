"""The index of data/tiles, with one entry for each image, where every stage looks up files; the content's digest."""

import csv
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from tiles import DEFECT_TYPES
from training.errors import ArchiveError, DatasetError
from training.files import DIGEST_FILE, INDEX_FILE

FREE = "Free"  # used in place of a defect type for an image without a defect
TYPES = (*DEFECT_TYPES, FREE)  # of the published dataset
COLUMNS = ("image", "tile", "type", "width", "height", "defect_pixels")


@dataclass(frozen=True)
class Entry:
    """One image, a row of the index.

    Attributes:
        name: the file's name without its suffix; no two images share one.
        tile: the physical tile that the image shows.
        defect_type: one of data_load.types, or Free.
        width, height: of the image, in pixels.
        defect_pixels: the number of defective pixels in its mask.
    """

    name: str
    tile: str
    defect_type: str
    width: int
    height: int
    defect_pixels: int


def write_index(entries: list[Entry], folder: Path) -> None:
    """Write the index of a folder like data/tiles, ordered by image."""
    with (folder / INDEX_FILE.name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(astuple(entry) for entry in sorted(entries, key=lambda entry: entry.name))


def read_index(path: Path = INDEX_FILE) -> list[Entry]:
    """Read the index that the stage data_load wrote.

    Raises: DatasetError, when it is missing.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing: run `dvc repro data_load`, or `dvc pull` it")
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Entry(r["image"], r["tile"], r["type"], int(r["width"]), int(r["height"]), int(r["defect_pixels"]))
            for r in csv.DictReader(file)
        ]


def unused_types(types: Sequence[str], used: Collection[str]) -> list[str]:
    """Return a message if no image has some of these types, otherwise nothing: each type is a class of the network."""
    unused = [name for name in types if name not in used]
    return [f"no image has the type {', '.join(unused)}: remove it from data_load.types"] if unused else []


def content_digest(members: Mapping[str, bytes]) -> str:
    """Return the sha256 over paths and bytes, ordered by path: equal content gives an equal digest from any zip."""
    digest = hashlib.sha256()
    for name in sorted(members):
        digest.update(name.encode() + b"\0" + hashlib.sha256(members[name]).digest())
    return digest.hexdigest()


def verify_content(members: Mapping[str, bytes], expected: str, source: Path) -> None:
    """Compare the content's digest with the one in params.yaml; print it if params.yaml expects none.

    Raises: ArchiveError, naming the archive or the table that the content came from.
    """
    found = content_digest(members)
    if not expected:
        print(f"data_load.digest of these {len(members)} files: {found}")  # noqa: T201
    elif found != expected:
        raise ArchiveError(
            f"the {len(members)} files of {source} have the digest {found}, but params.yaml expects {expected}. If the "
            "download is damaged, delete it and run again. If the data changed on purpose, set data_load.digest to the "
            'new digest, or to "" to accept any'
        )


def write_digest(members: Mapping[str, bytes], folder: Path) -> None:
    """Write the digest of the images and masks from which the folder was made."""
    (folder / DIGEST_FILE.name).write_text(content_digest(members) + "\n", encoding="utf-8")


def read_digest() -> str:
    """Return the digest of the images and masks from which data/tiles was made.

    Raises: DatasetError, when it is missing.
    """
    if not DIGEST_FILE.is_file():
        raise DatasetError(f"{DIGEST_FILE} is missing: run `dvc repro data_load`, or `dvc pull` it")
    return DIGEST_FILE.read_text(encoding="utf-8").strip()
