"""The table of own images: every mistake is answered by a line that says where it is and how to mend it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from own_data import change_row, load, params_of, refuse_load, rewrite, rows_of, write_castings
from training_data import write_knobs

from training.dataset.table import COLUMNS, TEMPORARY_FOLDER, find_table, read_rows, read_table
from training.errors import DatasetError, ParamsError
from training.params import load_params
from training.stages import check_params


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_castings(tmp_path / "castings")


def row(line: int, **cells: str) -> Callable[[Path], None]:
    return lambda table: change_row(table, line, **cells)


def without_column(table: Path) -> None:
    rewrite(table, [{name: cell for name, cell in row.items() if name != "casting"} for row in rows_of(table)])


def edited(old: str, new: str) -> Callable[[Path], None]:
    """Replace the first `old` of the file."""
    return lambda table: table.write_text(table.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")


def semicolons(table: Path) -> None:
    table.write_text(table.read_text(encoding="utf-8").replace(",", ";"), encoding="utf-8")


def like_a_comment(table: Path) -> None:
    (table.parent / "Dent/0-0.jpg").rename(table.parent / "#1.jpg")
    change_row(table, 2, image="#1.jpg")


FAULTS = {
    "no such type": (row(2, type="Scratch"), r"line 2: the type is 'Scratch', expected .*Dent, Rust spot, Free"),
    "a type in other letters": (row(2, type="dent"), r"line 2: the type is 'dent', expected .*Dent, Rust spot, Free"),
    "no mask": (row(3, mask=""), r"line 3: Dent/0-1\.png has a Dent and no mask"),
    "the image as its mask": (row(3, mask="Dent/0-1.png"), r"line 3: Dent/0-1\.png is named as its own mask: name a"),
    "no file": (
        row(4, image="Dent/9.jpg"),
        r"line 4: there is no file Dent/9\.jpg in .*castings: correct the path, or delete the row$",
    ),
    "other letters": (
        row(4, image="Dent/1-0.JPG"),
        r"line 4: there is no file Dent/1-0\.JPG in .*: it is called 1-0\.jpg",
    ),
    "a backslash": (
        row(4, image=r"Dent\1-0.jpg"),
        r"line 4: there is no file Dent\\1-0\.jpg .*: write / in place of \\",
    ),
    "an absolute path": (row(4, image="/Dent/9.jpg"), r"line 4: /Dent/9\.jpg is an absolute path: name files from"),
    "a drive": (row(4, image=r"C:\Dent\9.jpg"), r"line 4: C:\\Dent\\9\.jpg is an absolute path: name files from"),
    "no group": (row(5, casting=" "), r"line 5: Dent/1-1\.png has nothing in the column casting"),
    "no column": (
        without_column,
        r"has no column casting: its columns are image, mask, type; add it, or name one of these",
    ),
    "a column twice": (edited("type,casting", "type,type,casting"), "has the column type twice: rename one"),
    "semicolons": (semicolons, r"has no column image, mask, type, casting: .*; separate the cells by commas"),
    "an unquoted comma": (edited("Dent/0-0.jpg", "Dent/0,0.jpg"), r'line 2: it has 5 cells, .* comma into "quotes"'),
    "an open quote": (
        edited("Dent/0-0.jpg", '"Dent/0-0.jpg'),
        r"cannot be read from line 2 on \(unexpected end of data\)",
    ),
    "an image twice": (
        row(2, image="Dent/0-1.png"),
        r"Dent/0-1\.png: another row's image is also called Dent-0-1: delete the row",
    ),
    "a name like a comment": (like_a_comment, r"line 2: #1\.jpg begins like a comment: write \./#1\.jpg"),
    "UTF-16": (lambda table: table.write_bytes(b"\xff\xfe\x00"), r"castings\.csv cannot be read .* CSV file in UTF-8"),
    "a spreadsheet": (
        lambda table: table.write_bytes(b"PK\x03\x04\xf0"),
        r"cannot be read .* as which spreadsheets can save",
    ),
    "no row": (lambda table: table.write_text("image,mask,type,casting\n", encoding="utf-8"), "it names no image"),
}


@pytest.mark.parametrize(("spoil", "words"), FAULTS.values(), ids=FAULTS)
def test_what_does_not_fit_is_named(table: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(table)
    refuse_load(table, tmp_path / "tiles", words)


def test_a_row_is_named_by_the_line_in_which_it_begins(tmp_path: Path) -> None:
    lines = [
        "# castings",
        "",
        "image,mask,type,remark",
        'a.jpg,,Free,"two',
        'lines"',
        "",
        "b.jpg,,Free,",
        "c.jpg,,Free",
    ]
    table = tmp_path / "table.csv"
    table.write_text("\r\n".join(lines), encoding="utf-8")
    assert [(4, "a.jpg"), (7, "b.jpg"), (8, "c.jpg")] == [
        (line, cells["image"]) for line, cells in read_rows(table, COLUMNS)
    ]


@pytest.mark.parametrize("line", ["", ",,,", " , ,,", "---,---,---", "-,,", "# Dent/9.jpg,,Dent", "#", "#,,"])
def test_an_empty_row_one_of_dashes_and_a_comment_are_skipped(tmp_path: Path, line: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"{line}\nimage,mask,type\n{line}\na.jpg,,Free\n{line}\n", encoding="utf-8")
    assert [{"image": "a.jpg", "mask": "", "type": "Free"}] == [cells for _, cells in read_rows(table, COLUMNS)]


def test_a_cell_of_dashes_is_empty(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image,mask,type\na.jpg,---,Free\nb-1.jpg,-,Free\n", encoding="utf-8")
    assert [("a.jpg", ""), ("b-1.jpg", "")] == [
        (cells["image"], cells["mask"]) for _, cells in read_rows(table, COLUMNS)
    ]


def test_a_file_whose_name_is_like_a_comment_has_a_path(table: Path, tmp_path: Path) -> None:
    like_a_comment(table)
    change_row(table, 2, image="./#1.jpg")
    load(table, tmp_path / "tiles")
    assert (tmp_path / "tiles/images/#1.jpg").is_file()


@pytest.mark.parametrize("named", ["castings/castings.csv", "../castings/castings.csv"])
def test_an_experiment_outside_the_workspace_reads_the_workspaces_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    workspace = tmp_path / "repository"
    table = write_castings((workspace / named).parent)
    outside = workspace / TEMPORARY_FOLDER / "standalone/tmp1"
    outside.mkdir(parents=True)
    monkeypatch.chdir(outside)
    assert table.samefile(find_table(named))
    tracked = write_castings((outside / named).parent)
    assert tracked.samefile(find_table(named))
    (tracked.parent / "Dent/0-0.jpg").unlink()
    with pytest.raises(
        DatasetError, match=r"line 2: there is no file Dent/0-0\.jpg in .*: git tracks the table and not"
    ):
        read_table(find_table(named), params_of(tracked))
    monkeypatch.chdir(workspace)
    assert Path(named) == find_table(named)


def test_a_table_that_is_not_there_is_told_before_any_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_knobs(tmp_path / "params.yaml", data_load__table="castings.csv", quantize__title="Castings")
    with pytest.raises(ParamsError, match=r"data_load\.table: castings\.csv does not exist: name a CSV file, or null"):
        check_params.main()


def test_own_images_need_a_title_of_their_own(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_knobs(tmp_path / "params.yaml", data_load__table=str(table))
    with pytest.raises(ParamsError, match=r"quantize\.title is 'Magnetic tiles', but data_load\.table names your own"):
        check_params.main()
    write_knobs(tmp_path / "params.yaml", data_load__table=str(table), quantize__title="Castings")
    (tmp_path / "requirements").mkdir()
    check_params.main()
    assert "Castings" == load_params().quantize.title


def test_types_and_a_title_that_no_label_can_hold_are_refused_before_any_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements").mkdir()
    write_knobs(tmp_path / "params.yaml", quantize__title="磁" * 80)
    check_params.main()
    write_knobs(tmp_path / "params.yaml", data_load__types=[f"A long defect {number}" for number in range(40)])
    with pytest.raises(ParamsError, match=r"data_load\.types and quantize\.title are too long together: .* 1024 bytes"):
        check_params.main()
