"""A user's own images: what does not fit is named, and what fits is loaded. test_pipeline.py trains on such images."""

import shutil
from pathlib import Path

import pytest
from own_data import TYPES, load, params_of, rows_of, use_castings, write_castings
from training_data import params_with

from tests.clones import change_params, clone, run
from tests.conftest import ROOT
from training.dataset.index import read_index
from training.dataset.split import assign_folds
from training.dataset.table import contents, read_table
from training.errors import DatasetError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_castings(tmp_path / "castings")


def test_the_index_holds_each_image_with_its_group_and_its_masks_pixels(table: Path, tmp_path: Path) -> None:
    load(table, tmp_path / "tiles")
    entries = {entry.name: entry for entry in read_index(tmp_path / "tiles/index.csv")}

    assert len(rows_of(table)) == len(entries) == 36
    assert ("Rust spot 3", "Rust spot", 256) == (
        entries["Rust spot-3-1"].tile, entries["Rust spot-3-1"].defect_type, entries["Rust spot-3-1"].defect_pixels
    )  # fmt: skip
    assert 0 == entries["Free-0-0"].defect_pixels
    assert (table.parent / "Rust spot/3-1.png").read_bytes() == (
        tmp_path / "tiles/images/Rust spot-3-1.png"
    ).read_bytes()
    assert (table.parent / "Rust spot/3-0.jpg").read_bytes() == (
        tmp_path / "tiles/images/Rust spot-3-0.jpg"
    ).read_bytes()


def test_the_images_of_a_group_share_a_fold_and_without_a_column_they_may_not(table: Path, tmp_path: Path) -> None:
    split = params_with(data_split__folds=3, data_split__test_fold=1, data_split__validation_fold=2).data_split
    parted = {}
    for group in ("casting", None):
        load(table, tmp_path / str(group), group=group)
        folds = assign_folds(read_index(tmp_path / str(group) / "index.csv"), split, seed=1)
        parted[group] = [name for name in folds if name.endswith("-0") and folds[name] != folds[f"{name[:-1]}1"]]

    assert [] == parted["casting"]
    assert parted[None]


def test_a_type_of_the_parameters_that_no_image_has_is_named(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no image has the type Scratch: remove it from"):
        load(table, tmp_path / "tiles", types=(*TYPES, "Scratch"))


def test_equal_files_have_an_equal_digest(table: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(table.parent, tmp_path / "copy")
    one, other = (contents(read_table(path, params_of(path))) for path in (table, copy / table.name))
    assert one == other
    assert 36 + 24 == len(one)


def test_the_digest_tells_other_images_of_the_same_names_and_sizes(table: Path, tmp_path: Path) -> None:
    load(table, tmp_path / "before")
    image = table.parent / "Dent/0-0.jpg"
    image.write_bytes(image.read_bytes() + b"\0")  # which no decoder minds
    load(table, tmp_path / "after")
    for name, same in (("index.csv", True), ("digest", False)):
        assert same == ((tmp_path / "before" / name).read_text() == (tmp_path / "after" / name).read_text())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_load__types": ["Dent", "Dent"]}, "different names"),
        ({"data_load__types": ["Dent", "Free"]}, "not Free"),
        ({"data_load__types": ["Dent, large"]}, "pattern"),
        ({"data_load__types": []}, "at least 1"),
        ({"data_load__group": "casting"}, "a column of data_load.table, which is null"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        params_with(**changes)


@pytest.mark.slow
def test_a_digest_that_is_given_up_again_brings_no_old_photographs_back(tmp_path: Path) -> None:
    """DVC's run cache knows the parameters of a run, and not the files of the table."""
    repository, table = clone(ROOT, tmp_path / "repository"), write_castings(tmp_path / "castings")
    use_castings(repository, table)
    load_them, digest = ("dvc", "repro", "--single-item", "data_load"), repository / "data/tiles/digest"
    run(repository, *load_them)
    before = digest.read_text()
    change_params(repository, data_load__digest=before.strip())
    run(repository, *load_them)
    image = table.parent / "Dent/0-0.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    change_params(repository, data_load__digest="")
    run(repository, *load_them)
    assert before != digest.read_text()
