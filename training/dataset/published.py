"""The published dataset: the archive's pairs of image and mask → a folder like data/tiles."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from training.dataset.image_files import File, make_folders, read_image, read_mask, write_image_and_mask
from training.dataset.index import FREE, Entry, unused_types, write_digest, write_index
from training.errors import DatasetError
from training.files import TILE_IDS_FILE
from training.params import DataLoadParams
from training.progress import bar

PROBLEMS = "the archive does not fit data_load in params.yaml: correct the parameters, or the files and their digest:"


def read_tile_ids(path: Path = TILE_IDS_FILE) -> dict[str, str]:
    """Return {image: tile}; studies/label_audit.md explains how the tiles were recovered."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["image"]: row["tile"] for row in csv.DictReader(file)}


def write_dataset(
    members: Mapping[str, bytes], tile_ids: Mapping[str, str], params: DataLoadParams, folder: Path
) -> None:
    """Check every pair and write images, masks, index and digest.

    Raises: DatasetError, naming every file that is corrupt, has no partner or another size, or whose tile is unknown,
    every Free image with a defect, and every type without an image.
    """
    make_folders(folder)
    stems = sorted({str(PurePosixPath(name).with_suffix("")) for name in members})
    entries: list[Entry] = []
    problems = [*_names_used_twice(stems), *unused_types(params.types, {_type_of(stem) for stem in stems})]
    for stem in bar(iterable=stems, desc="data_load", unit="image"):
        try:
            entries.append(_write_pair(stem, members, tile_ids, params, folder))
        except DatasetError as error:
            problems.append(str(error))
    if problems:
        raise DatasetError("\n  ".join([PROBLEMS, *problems]))
    write_index(entries, folder)
    write_digest(members, folder)


def _names_used_twice(stems: list[str]) -> list[str]:
    """Return a message for each name that is used twice: the pipeline's tables identify an image by its name."""
    known = [PurePosixPath(stem) for stem in stems]
    count = Counter(stem.name for stem in known)
    return [f"{stem}.jpg: another type has an image of this name" for stem in known if count[stem.name] > 1]


def _type_of(stem: str) -> str:
    return PurePosixPath(stem).parts[0].removeprefix("MT_")


def _write_pair(
    stem: str, members: Mapping[str, bytes], tile_ids: Mapping[str, str], params: DataLoadParams, folder: Path
) -> Entry:
    name, defect_type = PurePosixPath(stem).name, _type_of(stem)
    if f"{stem}.jpg" not in members:
        raise DatasetError(f"{stem}.png: its image {stem}.jpg is missing")
    if defect_type not in (types := [*params.types, FREE]):
        raise DatasetError(f"{stem}.jpg: the folder's type {defect_type} is not one of {', '.join(types)}")
    if name not in tile_ids:
        raise DatasetError(f"{stem}.jpg: {TILE_IDS_FILE.name} does not name the tile that it shows; add a row")
    if f"{stem}.png" not in members:
        raise DatasetError(f"{stem}.jpg: its mask {stem}.png is missing")
    image = read_image(File(f"{stem}.jpg", members[f"{stem}.jpg"]), params).image
    mask = read_mask(File(f"{stem}.png", members[f"{stem}.png"]), image, params)
    if defect_type == FREE and mask.any():
        raise DatasetError(
            f"{stem}.png: the mask has a defect, but the folder is MT_{FREE}: move image and mask to their type's "
            "folder, or empty the mask"
        )
    write_image_and_mask(name, members[f"{stem}.jpg"], mask, folder)
    return Entry(name, tile_ids[name], defect_type, image.shape[1], image.shape[0], int(mask.sum()))
