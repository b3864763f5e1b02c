"""The index of data/tiles: one entry an image, by which every stage finds its files; and the digest of what came in."""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tiles import DEFECT_TYPES
from training.errors import DatasetError

TILES_FOLDER = Path("data/tiles")
DIGEST_FILE = "digest"
FREE = "Free"  # the type of an image without a defect
TYPES = (*DEFECT_TYPES, FREE)  # of the published dataset


@dataclass(frozen=True)
class Entry:
    """One image. tile: the physical tile's identity; type: of data_load.types, or Free; defect_pixels: of its mask."""

    image: str
    tile: str
    type: str
    width: int
    height: int
    defect_pixels: int


def write_index(entries: list[Entry], path: Path) -> None:
    """Write the index table, one row an image, ordered by image."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Entry.__dataclass_fields__)
        writer.writerows(vars(entry).values() for entry in sorted(entries, key=lambda entry: entry.image))


def content_digest(members: Mapping[str, bytes]) -> str:
    """Return the sha256 over paths and bytes, in the order of the paths: equal content, equal digest, any zip."""
    digest = hashlib.sha256()
    for name in sorted(members):
        digest.update(name.encode() + b"\0" + hashlib.sha256(members[name]).digest())
    return digest.hexdigest()


def write_digest(members: Mapping[str, bytes], folder: Path) -> None:
    """Write the digest of the images and masks that the folder was made of."""
    (folder / DIGEST_FILE).write_text(content_digest(members) + "\n")


def read_digest() -> str:
    """Return the digest of the images and masks that data/tiles was made of.

    Raises: DatasetError, when it is not there.
    """
    path = TILES_FOLDER / DIGEST_FILE
    if not path.is_file():
        raise DatasetError(f"{path} is missing: run `dvc repro data_load`, or `dvc pull` it")
    return path.read_text().strip()


def image_file(folder: Path, image: str) -> Path:
    """Return where data/tiles, or a folder that is written like it, keeps an image."""
    path = folder / "images" / f"{image}.jpg"
    return path if path.is_file() else path.with_name(f"{image}.png")
