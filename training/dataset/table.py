"""Your own images instead of the published archive: a table names each image, its mask, its type and its group.

docs/your_data.md explains how to write the table. It does not know what is in the files: own_images.py looks at them.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from training.dataset.image_files import File
from training.dataset.index import FREE
from training.errors import DatasetError
from training.params import DataLoadParams

COLUMNS = ("image", "mask", "type")
COMMENT = "#"
SHOWN = 20
TEMPORARY_FOLDER = ".dvc/tmp/exps"  # where `dvc exp run --temp` and `--queue` run


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


class Row(NamedTuple):
    """A row's cells by column, and the line of the file in which it begins, from 1."""

    line: int
    cells: dict[str, str]


def find_table(named: str) -> Path:
    """Return the path of the table that data_load.table names.

    An experiment outside of the workspace has only files that git tracks. If the table is none, it is the workspace's.
    """
    workspace, outside, _ = Path.cwd().as_posix().partition(f"/{TEMPORARY_FOLDER}/")
    return Path(workspace, named) if outside and not Path(named).is_file() else Path(named)


def read_table(table: Path, params: DataLoadParams) -> list[OwnImage]:
    """Read the table and the files that it names, from beside it.

    Raises: DatasetError, naming what is missing.
    """
    images, problems = [], []
    rows = read_rows(table, [*COLUMNS, *([params.group] if params.group else [])])
    for row in rows:
        try:
            images.append(_read_row(row.cells, table.parent, params))
        except (DatasetError, OSError) as error:
            problems.append(f"line {row.line}: {error}")
    refuse(table, problems or ([] if rows else ["it names no image"]))
    return images


def read_rows(table: Path, wanted: Sequence[str]) -> list[Row]:
    """Read the table's rows; each has these columns, and perhaps others.

    A row without any content is skipped, and so is a comment, which begins with #. A cell of dashes is empty.

    Raises: DatasetError, when the table cannot be read, lacks a column or has a row of too many cells.
    """
    lines = _lines(table)
    _, columns = next(lines, (0, []))
    if lacking := [name for name in wanted if name not in columns]:
        separated = [name for name in (";", "\t") if any(name in column for column in columns)]
        hint = "separate the cells by commas" if separated else "add it, or name one of these"
        raise DatasetError(f"{table} has no column {', '.join(lacking)}: its columns are {', '.join(columns)}; {hint}")
    if twice := sorted({name for name in wanted if columns.count(name) > 1}):
        raise DatasetError(f"{table} has the column {', '.join(twice)} twice: rename one")
    rows, problems = [], []
    for line, cells in lines:
        if any(cells[len(columns) :]):
            problems.append(
                f"line {line}: it has {len(cells)} cells, but the table has {len(columns)} columns: put a cell that "
                'contains a comma into "quotes"'
            )
        rows.append(Row(line, dict(zip(columns, [*cells, *[""] * len(columns)], strict=False))))
    refuse(table, problems)
    return rows


def _lines(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Give the cells of every row with content, and the line in which it begins: a quoted cell may have several."""
    line = 1
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                cells = [_cell(cell) for cell in row]
                if any(cells) and not _is_comment(cells[0], line, table):
                    yield line, cells
                line = reader.line_num + 1
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"data_load.table {table} cannot be read from line {line} on ({error}): name a CSV file in UTF-8, as which "
            "spreadsheets can save"
        ) from None


def _cell(text: str) -> str:
    """Return a cell's content: dashes alone say that there is none."""
    return text.strip() if text.strip(" -") else ""


def _is_comment(first: str, line: int, table: Path) -> bool:
    if first.startswith(COMMENT) and (table.parent / first).is_file():
        raise DatasetError(f"{table}, line {line}: {first} begins like a comment: write ./{first}")
    return first.startswith(COMMENT)


def _read_row(row: dict[str, str], folder: Path, params: DataLoadParams) -> OwnImage:
    image, mask, defect_type = (row[name] for name in COLUMNS)
    if defect_type not in (types := [*params.types, FREE]):
        raise DatasetError(
            f"the type is {defect_type!r}, expected one of data_load.types or {FREE}: {', '.join(types)}"
        )
    if not mask and defect_type != FREE:
        raise DatasetError(f"{image} has a {defect_type} and no mask: name its mask, or call the image {FREE}")
    if mask and image == mask:
        raise DatasetError(f"{image} is named as its own mask: name a mask, white where the image is defective")
    tile = row[params.group] if params.group else image
    if not tile:
        raise DatasetError(f"{image} has nothing in the column {params.group}: say which object it shows")
    return OwnImage(_read_file(folder, image), _read_file(folder, mask) if mask else None, defect_type, tile)


def _read_file(folder: Path, name: str) -> File:
    if Path(name).is_absolute() or PureWindowsPath(name).is_absolute():
        raise DatasetError(f"{name} is an absolute path: name files from the table's folder, {folder}")
    if not (folder / name).is_file():
        raise DatasetError(f"there is no file {name or 'without a name'} in {folder}{_nearly(folder, name)}")
    return File(name, (folder / name).read_bytes())


def _nearly(folder: Path, name: str) -> str:
    """Return what to do, with the file that is probably meant."""
    if "\\" in name:
        return ": write / in place of \\"
    beside = (folder / name).parent
    names = [path.name for path in beside.iterdir()] if name and beside.is_dir() else []
    alike = [each for each in names if each.lower() == PurePosixPath(name).name.lower()]
    if alike:
        return f": it is called {alike[0]}"
    if TEMPORARY_FOLDER in Path.cwd().as_posix():
        return ": git tracks the table and not this file; `git add` it, or `git rm --cached` the table"
    return ": correct the path, or delete the row"


def refuse(table: Path, problems: Sequence[str]) -> None:
    """Raise one error that lists the problems, at most the first 20.

    Raises: DatasetError.
    """
    if problems:
        raise DatasetError("\n  ".join([f"{table} does not fit:", *first(problems)]))


def first(lines: Sequence[str]) -> list[str]:
    """Return as many lines as a person reads, and how many more there are."""
    more = [f"… and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


def contents(images: Sequence[OwnImage]) -> dict[str, bytes]:
    """Return {path in the table: bytes} of all images and masks, for their digest."""
    return {file.name: file.content for own in images for file in (own.image, own.mask) if file}
