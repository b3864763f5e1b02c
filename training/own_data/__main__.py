"""Make the table of your own images and look at them; docs/your_data.md explains how."""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError
from tabulate import tabulate

from host.memory import MIB, memory_limit_bytes
from training.dataset.index import FREE, Entry, read_index
from training.dataset.own_images import write_images
from training.dataset.table import COLUMNS, first, read_rows, read_table
from training.errors import DatasetError, exit_status
from training.own_data.found import SHEET, UNREADABLE, Found, Notes
from training.own_data.layouts import LAYOUTS, Layout, fitting
from training.own_data.proposal import as_yaml
from training.own_data.sheet import draw_sheet, share
from training.own_data.writing import TILE, refuse_alike, summaries, write_own_table
from training.params import DataLoadParams, Params, load_params

HEADINGS = ("type", "images", "objects", "defective pixels", "least", "most")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.own_data", description=__doc__)
    parser.add_argument(
        "source", type=Path, metavar="FOLDER", help="of the photographs; or a table, to look at it alone"
    )
    parser.add_argument("--layout", choices=LAYOUTS, help="default: the first that fits")
    parser.add_argument(
        "--tile-from",
        type=_expression,
        metavar="REGEX",
        help="photographs whose paths give the same match show one object",
    )
    parser.add_argument("--group", metavar="COLUMN", help="the table's column that says which images show one object")
    return parser.parse_args(words)


def _expression(word: str) -> re.Pattern[str]:
    try:
        return re.compile(word)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{word!r} is no regular expression: {error}") from None


def main() -> None:
    """Write the table of a folder, check every image as data_load does, and propose parameters."""
    options, params = arguments(), load_params()
    if options.source.is_dir():
        table = make_table(options.source, options.layout, options.tile_from, params.data_load)
        group = TILE if options.tile_from else options.group
    elif options.source.is_file() and options.source.suffix.lower() == ".csv":
        table, group = options.source, options.group
    elif options.source.is_file():
        raise DatasetError(
            f"{options.source} is neither a folder nor a CSV file: unpack an archive, save a spreadsheet as CSV, and "
            "for annotations name the folder of their photographs"
        )
    else:
        raise DatasetError(f"{options.source} does not exist: name the folder of your photographs, or a table")
    look_at(table, group, params)


def make_table(folder: Path, name: str | None, tile_from: re.Pattern[str] | None, params: DataLoadParams) -> Path:
    """Read a folder, write its table, and print what was taken and what was not.

    Raises: DatasetError.
    """
    names = [name] if name else fitting(folder)
    layout, notes = LAYOUTS[names[0]], Notes()
    others = [other for other in names[1:] if other != "folders"]
    _say(f"{folder} is read as --layout {names[0]}, {layout.words}{'; it may also be '.join(['', *others])}")
    table = write_own_table(folder, _photographs(folder, layout, notes), notes, params, tile_from)
    for heading, found in (("Skipped:", notes.skipped), ("Decided for you:", notes.decided)):
        if found:
            _say("\n  ".join([heading, *summaries(found)]))
    return table


def _photographs(folder: Path, layout: Layout, notes: Notes) -> Iterator[Found]:
    """Give what the layout's reader finds.

    Raises: DatasetError, also where files are of another structure.
    """
    try:
        yield from layout.find(folder, notes)
    except UNREADABLE as error:
        raise DatasetError(f"{folder} is not {layout.words} ({error!r}): name another --layout") from error


def look_at(table: Path, group: str | None, params: Params) -> None:
    """Check the table's images, print figures and a proposal, and draw the sheet.

    Raises: DatasetError, naming every file that does not fit.
    """
    types = sorted({row.cells["type"] for row in read_rows(table, COLUMNS)} - {FREE, ""})  # read_table refuses ""
    refuse_alike({name: name for name in types})
    if not types:
        raise DatasetError(f"{table}: no image has a defect type; without defects there is nothing to learn")
    load = _params(params.data_load, table, group, types)
    with tempfile.TemporaryDirectory() as folder:
        warnings = write_images(read_table(table, load), load, Path(folder))
        entries = read_index(Path(folder) / "index.csv")
        sheet = table.parent / SHEET
        draw_sheet(entries, Path(folder), types).save(sheet)
    for warning in [*first(warnings), *_large(entries)]:
        _say(f"warning: {warning}")
    _say(tabulate(_rows(entries), HEADINGS, colalign=("left", *["right"] * 5)))
    _say(f"{table}: {len(entries)} images; {sheet} shows some: look at it before you train")
    _say(f"For params.yaml:\n\n{as_yaml(table, group, entries, params)}")
    if not group:
        _say(
            "\nIf several images show one object, say so by --tile-from or --group: otherwise the figures are too good."
        )


def _large(entries: Sequence[Entry]) -> list[str]:
    """Warn where the decoded images and masks, a byte a pixel each, take more than half of the memory."""
    needed, allowed = 2 * sum(entry.width * entry.height for entry in entries), memory_limit_bytes()
    if needed <= allowed / 2:
        return []
    words = (
        f"training holds all images decoded, {needed / MIB:,.0f} MiB in each process, and this machine has "
        f"{allowed / MIB:,.0f} MiB: crop or scale the photographs, or train on a machine with more"
    )
    return [words]


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the text is what the command is for


def _params(params: DataLoadParams, table: Path, group: str | None, types: list[str]) -> DataLoadParams:
    try:
        changes = {"table": str(table), "group": group, "types": types}
        return DataLoadParams.model_validate(params.model_dump() | changes)
    except ValidationError as error:
        wrong = "; ".join(f"{each['input']!r}: {each['msg']}" for each in error.errors())
        raise DatasetError(f"{table}: data_load.types cannot have its types: {wrong}") from None


def _rows(entries: Sequence[Entry]) -> list[list[str]]:
    """Return each type's numbers, and the defective share of its pixels: pooled, and of single images."""
    rows = []
    for name in sorted({entry.defect_type for entry in entries}):
        of = [entry for entry in entries if entry.defect_type == name]
        pooled = sum(entry.defect_pixels for entry in of) / sum(entry.width * entry.height for entry in of)
        shares = [pooled, min(map(share, of)), max(map(share, of))]
        rows.append([name, str(len(of)), str(len({entry.tile for entry in of})), *(f"{each:.2%}" for each in shares)])
    return rows


if __name__ == "__main__":
    sys.exit(exit_status(main))
