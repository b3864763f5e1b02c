"""Photographs as a reader found them → the table, and the masks that were drawn from outlines."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from host.files import write_table, write_whole
from tiles import DecodeError, encode_mask_png, read_image
from training.dataset.index import FREE
from training.dataset.table import COLUMNS, COMMENT, read_rows
from training.dataset.truth import is_marked
from training.errors import DatasetError
from training.own_data.found import DEFECT, MASKS, TABLE, Found, Notes, type_name
from training.params import DataLoadParams

TILE = "tile"  # the column that --tile-from fills


def write_own_table(
    folder: Path, found: Iterable[Found], notes: Notes, params: DataLoadParams, tile_from: re.Pattern[str] | None
) -> Path:
    """Write the masks that have no file, and the table; return its path.

    A drawn mask that somebody changed stays as it is.

    Raises: DatasetError, when there is no photograph, a label that is nearly another, or a table with other rows.
    """
    rows, names = [], {}
    drawn: dict[Path, bytes] = {}
    for each in found:
        if isinstance(each.mask, np.ndarray):
            drawn[_drawn_file(each, folder)] = encode_mask_png(each.mask)
        rows.append(_row(each, folder, notes, params, tile_from))
        names[each.defect_type or DEFECT] = rows[-1]["type"]
    refuse_alike(names)
    table = folder / TABLE
    if not rows:
        raise DatasetError("\n  ".join([f"{folder}: no photograph can be taken:", *summaries(notes.skipped)]))
    known = table.exists()
    if known and [{name: row.cells.get(name) for name in rows[0]} for row in read_rows(table, COLUMNS)] != rows:
        raise DatasetError(
            f"{table} has other rows than the folder: `python -m training.own_data {table}` looks at it as it is; "
            "delete it to have it written anew"
        )
    for file, mask in drawn.items():
        _write_mask(file, mask, notes)
    if not known:
        write_table(table, rows)
    return table


def _drawn_file(found: Found, folder: Path) -> Path:
    return folder / MASKS / f"{found.image.relative_to(folder).as_posix()}.png"


def _write_mask(file: Path, mask: bytes, notes: Notes) -> None:
    if not file.exists():
        write_whole(file, mask)
    elif file.read_bytes() != mask:
        notes.decide("kept, though its annotation gives another mask: delete it to have it drawn anew", file.name)


def _row(
    found: Found, folder: Path, notes: Notes, params: DataLoadParams, tile_from: re.Pattern[str] | None
) -> dict[str, str]:
    name = found.image.relative_to(folder).as_posix()
    defect_type, mask = found.defect_type, found.mask
    if defect_type is None:
        defect_type = DEFECT if isinstance(mask, Path) and _has_defect(mask, params) else FREE
        if mask is None:
            notes.decide(f"without a mask, counts as {FREE}", name)
    named = type_name(defect_type)
    if named != defect_type:
        notes.decide(f"{defect_type!r} is called {named!r}", name)
    if isinstance(mask, np.ndarray):
        mask = _drawn_file(found, folder)
    row = dict(zip(COLUMNS, (name, mask.relative_to(folder).as_posix() if mask else "", named), strict=True))
    row = {column: f"./{cell}" if cell.startswith(COMMENT) else cell for column, cell in row.items()}
    return row | ({TILE: _tile(name, tile_from)} if tile_from else {})


def refuse_alike(names: Mapping[str, str]) -> None:
    """Refuse labels whose types are equal, or differ only in case and separators. names: {label: type}.

    Raises: DatasetError.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for label, name in names.items():
        alike[re.sub(r"[ _-]+", " ", name.casefold())].append(label)
    problems = [" and ".join(map(repr, labels)) for name, labels in alike.items() if len(labels) > 1 and name != "free"]
    if problems:
        raise DatasetError(
            f"{'; '.join(problems)}: is this one type? Then give it one name; otherwise give each a name of other "
            "Latin letters or digits"
        )


def _has_defect(mask: Path, params: DataLoadParams) -> bool:
    content = mask.read_bytes()
    try:
        return is_marked(content, read_image(content, max_pixels=params.max_pixels), params)
    except DecodeError:
        return True  # a defective image's mask is looked at again, and then refused


def _tile(name: str, tile_from: re.Pattern[str]) -> str:
    """Return what the expression finds in a path: its first group, or all that matches if it has no group.

    Raises: DatasetError, when it finds nothing.
    """
    match = tile_from.search(name)
    found = (match[min(1, tile_from.groups)] or "").strip() if match else ""  # as the table's cells are read
    if not found.strip(" -"):
        raise DatasetError(f"--tile-from {tile_from.pattern!r} finds nothing in {name!r}: correct the expression")
    return found


def summaries(names: dict[str, list[str]], shown: int = 3) -> list[str]:
    """Return a line for each reason: how many files, why, and the first of their names."""
    return [
        f"{len(each)}: {why} ({', '.join(each[:shown])}{', …' if len(each) > shown else ''})"
        for why, each in names.items()
    ]
