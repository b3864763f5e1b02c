"""The index of data/tiles: one entry an image, by which every stage finds its files."""

import csv
from dataclasses import dataclass
from pathlib import Path

from tiles import DEFECT_TYPES

TILES_FOLDER = Path("data/tiles")
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


def image_file(folder: Path, image: str) -> Path:
    """Return where data/tiles, or a folder that is written like it, keeps an image."""
    path = folder / "images" / f"{image}.jpg"
    return path if path.is_file() else path.with_name(f"{image}.png")
