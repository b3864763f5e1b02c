"""Which defects are missed, counted by hand on a few of them."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image, ImageFilter
from training_data import ROOT, write_knobs, write_project

from studies import misses
from studies.misses import Defect, distance_to_frame, missed_to_show, outline, place_rows, size_rows, smallest_sure_area
from training.errors import StudyError


def defect(area, *, found, tile="1", defect_type="Crack", distance=50):
    return Defect(f"{tile}-{area}", tile, defect_type, area, distance, found, 0.5)


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ((0, 4), (9, 12), 0),
        ((3, 5), (8, 12), 3),
        ((10, 25), (8, 12), 5),
        ((10, 12), (30, 39), 1),
        ((10, 12), (5, 37), 3),
    ],
)
def test_the_distance_to_the_frame_is_that_to_the_nearest_side(rows, columns, expected):
    mask = np.zeros((30, 40), bool)
    mask[slice(*rows), slice(*columns)] = True
    assert expected == distance_to_frame(mask)


def test_each_type_is_counted_by_area_and_the_last_row_is_all():
    defects = [defect(49, found=True), defect(50, found=False), defect(6000, found=True, defect_type="Uneven")]
    crack, uneven, every = size_rows(defects, ["Crack", "Uneven"])
    assert ["Crack", "1 of 1", "0 of 1", "–", "–", "–", "1 of 2"] == crack
    assert ["Uneven", "–", "–", "–", "–", "1 of 1", "1 of 1"] == uneven
    assert ["all", "1 of 1", "0 of 1", "–", "–", "1 of 1", "2 of 3"] == every


def test_an_end_begins_twelve_pixels_from_the_frame():
    rows = place_rows([defect(80, found=True, distance=12), defect(90, found=False, distance=13)], ["Crack"])
    assert [["Crack", "at an end", "1 of 1", "80", "–"], ["Crack", "inside", "0 of 1", "–", "–"]] == rows


def test_from_the_sure_area_on_nine_of_ten_are_found_and_ten_are_needed():
    small = [defect(area, found=False) for area in (10, 20)]
    large = [defect(100 + n, found=n != 5) for n in range(10)]
    assert 100 == smallest_sure_area([*small, *large])
    assert smallest_sure_area(large[1:]) is None


def test_the_sure_area_counts_missed_defects_of_its_own_size_and_is_one_of_a_found_defect():
    alike = [defect(120, found=n >= 3) for n in range(20)]
    assert smallest_sure_area([*alike, *(defect(121, found=n > 0) for n in range(9))]) is None
    assert 900 == smallest_sure_area([defect(100, found=False), *(defect(900 + n, found=True) for n in range(12))])


def test_the_largest_missed_defects_are_shown_one_of_each_tile():
    defects = [defect(n, found=False, tile=tile) for n, tile in ((5, "a"), (9, "a"), (7, "b"), (3, "c"), (1, "d"))]
    shown = missed_to_show([*defects, defect(99, found=True)], ["Crack", "Fray"])
    assert [[9, 7, 3]] == [[each.area for each in row] for row in shown]


def test_an_outline_leaves_the_defect_visible():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    line = outline(mask)
    assert not line[4, 4]
    assert 24 == line.sum()


def write_fold(folder, *names):
    """Fold 4 as it is in git, of these sample images alone: they are of its test part."""
    write_project(folder, {"test": names})
    fold = folder / "studies/tables/honest-4"
    shutil.copytree(ROOT / "studies/tables/honest-4", fold)
    with (fold / "test.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    kept = [row for row in rows if row[0] in {name.split("/")[1] for name in names}]
    with (fold / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *kept])


def test_the_page_counts_each_photograph_of_the_tables_with_its_mask_and_shows_the_missed_ones(tmp_path, monkeypatch):
    names = ["Blowhole/exp1_num_262480", "Break/exp1_num_271361", "Uneven/exp1_num_109232", "Free/exp1_num_10903"]
    write_fold(tmp_path, *names)
    monkeypatch.chdir(tmp_path)
    misses.main()
    page = (tmp_path / "studies/misses.md").read_text()
    assert "**On 1 of 3 photographs with a defect nothing is found. On 1 of 3 tiles" in page
    assert "nothing is found on any photograph**: 262480." in page
    assert "One network was measured, each only on photographs" in " ".join(page.split())
    with Image.open(tmp_path / "studies/misses.jpg") as sheet:
        assert 812 == sheet.width


def test_a_page_without_misses_has_no_sheet(tmp_path, monkeypatch):
    write_fold(tmp_path, "Break/exp1_num_271361", "Free/exp1_num_10903")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies/misses.jpg").write_bytes(b"of an earlier run")
    misses.main()
    page = (tmp_path / "studies/misses.md").read_text()
    assert "**On 0 of 1 photographs with a defect nothing is found." in page
    assert "The largest ones" not in page
    assert not (tmp_path / "studies/misses.jpg").exists()


def test_other_masks_than_those_of_the_tables_make_no_page(tmp_path, monkeypatch):
    write_fold(tmp_path, "Break/exp1_num_271361", "Free/exp1_num_10903")
    monkeypatch.chdir(tmp_path)
    mask = tmp_path / "data/tiles/masks/exp1_num_271361.png"
    with Image.open(mask) as published:
        grown = published.convert("L").filter(ImageFilter.MaxFilter(3))
    grown.convert("1").save(mask)
    with pytest.raises(StudyError, match=r"differ in .* mask of 1 photographs \(exp1_num_271361, for one\): run `dvc "):
        misses.main()
    assert not (tmp_path / "studies/misses.md").exists()


def test_own_images_have_no_such_page(tmp_path, monkeypatch):
    write_fold(tmp_path, "Break/exp1_num_271361")
    write_knobs(tmp_path / "params.yaml", data_load__table="castings.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=r"misses work only on the published dataset: set data_load\.table to null"):
        misses.main()
