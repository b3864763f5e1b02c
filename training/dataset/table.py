"""Your own images instead of the published archive: a table names each image, its mask, its type and its group.

docs/your_data.md explains how to write the table.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from training.dataset.image_files import File, make_folders, read_image, read_mask, write_image_and_mask
from training.dataset.index import FREE, Entry, write_digest, write_index
from training.errors import DatasetError
from training.params import DataLoadParams

COLUMNS = ("image", "mask", "type")
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class OwnImage:
    """A row of the table.

    Attributes:
        image: the image's file.
        mask: the mask's file, None if the cell is empty.
        defect_type: one of data_load.types, or Free.
        tile: the object that the image shows: its cell in data_load.group's column; without a group, the image itself.
    """

    image: File
    mask: File | None
    defect_type: str
    tile: str

    @property
    def name(self) -> str:
        """The image's path in the table without its suffix, as one word: day1/0001.png is day1-0001."""
        return "-".join(PurePosixPath(self.image.name).with_suffix("").parts)


def read_table(table: Path, params: DataLoadParams) -> list[OwnImage]:
    """Read the table and the files that it names, from beside it.

    Raises: DatasetError, naming what is missing.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"data_load.table {table} cannot be read ({error}): name a CSV file in UTF-8") from None
    wanted = [*COLUMNS, *([params.group] if params.group else [])]
    if lacking := [name for name in wanted if name not in columns]:
        raise DatasetError(f"{table} has no column {', '.join(lacking)}: its columns are {', '.join(columns)}")
    images, problems = [], []
    for number, row in enumerate(rows, start=2):  # as an editor counts lines, with the header as the first
        try:
            images.append(_read_row(row, table.parent, params))
        except (DatasetError, OSError) as error:
            problems.append(f"line {number}: {error}")
    refuse(table, problems or ([] if rows else ["it names no image"]))
    return images


def _read_row(row: dict[str, str], folder: Path, params: DataLoadParams) -> OwnImage:
    image, mask, defect_type = ((row[name] or "").strip() for name in COLUMNS)
    if defect_type not in (types := [*params.types, FREE]):
        raise DatasetError(
            f"the type is {defect_type!r}, expected one of data_load.types or {FREE}: {', '.join(types)}"
        )
    if not mask and defect_type != FREE:
        raise DatasetError(f"{image} has a {defect_type} and no mask: name its mask, or call the image {FREE}")
    tile = (row[params.group] or "").strip() if params.group else image
    if not tile:
        raise DatasetError(f"{image} has nothing in the column {params.group}: say which object it shows")
    return OwnImage(_read_file(folder, image), _read_file(folder, mask) if mask else None, defect_type, tile)


def _read_file(folder: Path, name: str) -> File:
    if Path(name).is_absolute():
        raise DatasetError(f"{name} is an absolute path: name files from the table's folder, {folder}")
    if not (folder / name).is_file():
        raise DatasetError(f"there is no file {name or 'without a name'} in {folder}")
    return File(name, (folder / name).read_bytes())


def refuse(table: Path, problems: Sequence[str]) -> None:
    """Raise one error that lists all problems.

    Raises: DatasetError.
    """
    if problems:
        more = [f"… and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        raise DatasetError("\n  ".join([f"{table} does not fit:", *problems[:SHOWN_PROBLEMS], *more]))


def contents(images: Sequence[OwnImage]) -> dict[str, bytes]:
    """Return {path in the table: bytes} of all images and masks, for their digest."""
    return {file.name: file.content for own in images for file in (own.image, own.mask) if file}


def write_images(images: Sequence[OwnImage], params: DataLoadParams, folder: Path) -> None:
    """Check every image against its mask and its type, and write images, masks and index.

    Raises: DatasetError, naming every file that does not fit.
    """
    make_folders(folder)
    count = Counter(own.name for own in images)
    problems = [f"{own.image.name}: another image is also called {own.name}" for own in images if count[own.name] > 1]
    if unused := [name for name in params.types if name not in {own.defect_type for own in images}]:
        problems.append(f"no image has the type {', '.join(unused)}: remove it from data_load.types")
    entries = []
    for own in tqdm(images, desc="data_load", unit="image"):
        try:
            entries.append(_write(own, params, folder))
        except DatasetError as error:
            problems.append(str(error))
    refuse(Path(params.table or ""), problems)
    write_index(entries, folder)
    write_digest(contents(images), folder)


def _write(own: OwnImage, params: DataLoadParams, folder: Path) -> Entry:
    image = read_image(own.image, params)
    mask = read_mask(own.mask, image, params) if own.mask else np.zeros(image.shape, bool)
    rule = f"pixel brighter than {params.mask_above} (data_load.mask_above)"
    if own.mask and own.defect_type != FREE and not mask.any():
        raise DatasetError(f"{own.mask.name}: the mask has no {rule}: draw defects in white, or call the image {FREE}")
    if own.mask and own.defect_type == FREE and mask.any():
        raise DatasetError(
            f"{own.mask.name}: the mask has a {rule}, but its image is called {FREE}: give the image a defect type, "
            "or an empty mask"
        )
    write_image_and_mask(own.name, own.image.content, mask, folder)
    return Entry(own.name, own.tile, own.defect_type, image.shape[1], image.shape[0], int(mask.sum()))
