"""The split: no tile in two parts, every type everywhere, the same again with the same seed."""

import csv
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_data import an_entry, params_with, unhurried, write_knobs

from training.dataset.index import TYPES, read_index, write_index
from training.dataset.published import read_tile_ids
from training.dataset.split import (
    PARTS,
    assign_folds,
    parts_of,
    read_split,
    refuse_empty_validation,
    refuse_lacking,
)
from training.errors import DatasetError
from training.params import load_params
from training.stages import data_split

FOLDS = 5
TWO_TYPES = ("Crack", "Fray")  # of the tiles that show two

BY_TILE = params_with().data_split
RANDOM = params_with(data_split__method="random").data_split


def entries_of(tiles_by_type, tiles_of_two_types=()):
    """One entry an exposure: {"Crack": [6, 5]} are two tiles, photographed six and five times."""
    entries = [
        an_entry(f"{defect_type}-{tile}-{exposure}", defect_type, tile=f"{defect_type}-{tile}")
        for defect_type, tiles in tiles_by_type.items()
        for tile, exposures in enumerate(tiles)
        for exposure in range(exposures)
    ]
    entries += [
        an_entry(f"both-{tile}-{exposure}", TWO_TYPES[exposure % 2], tile=f"both-{tile}")
        for tile, exposures in enumerate(tiles_of_two_types)
        for exposure in range(exposures)
    ]
    return sorted(entries, key=lambda entry: entry.name)


exposures_of_tiles = st.lists(st.integers(1, 7), min_size=FOLDS, max_size=12)
datasets = st.builds(
    entries_of,
    st.dictionaries(st.sampled_from(TYPES), exposures_of_tiles, min_size=1),
)
datasets_with_tiles_of_two_types = st.builds(
    entries_of,
    st.fixed_dictionaries(dict.fromkeys([*TWO_TYPES, "Free"], exposures_of_tiles)),
    st.lists(st.integers(2, 7), max_size=4),
)
seeds = st.integers(0, 2**32 - 1)


@unhurried
@given(entries=datasets | datasets_with_tiles_of_two_types, seed=seeds)
def test_every_image_is_in_one_fold_and_no_tile_in_two(entries, seed):
    folds = assign_folds(entries, BY_TILE, seed)
    assert {entry.name for entry in entries} == folds.keys()
    assert set(folds.values()) <= set(range(FOLDS))
    folds_of_tiles = defaultdict(set)
    for entry in entries:
        folds_of_tiles[entry.tile].add(folds[entry.name])
    assert all(len(folds) == 1 for folds in folds_of_tiles.values())


@unhurried
@given(entries=datasets | datasets_with_tiles_of_two_types, seed=seeds)
def test_a_type_with_as_many_tiles_as_folds_is_in_every_fold(entries, seed):
    folds = assign_folds(entries, BY_TILE, seed)
    for defect_type in {entry.defect_type for entry in entries}:
        assert set(range(FOLDS)) == {folds[entry.name] for entry in entries if entry.defect_type == defect_type}, (
            defect_type
        )


@unhurried
@given(entries=datasets, seed=seeds)
def test_a_random_split_has_every_image_in_one_fold_and_every_type_in_all(entries, seed):
    folds = assign_folds(entries, RANDOM, seed)
    assert {entry.name for entry in entries} == folds.keys()
    for defect_type in {entry.defect_type for entry in entries}:
        sizes = Counter(folds[entry.name] for entry in entries if entry.defect_type == defect_type)
        assert FOLDS == len(sizes)


@pytest.mark.parametrize("params", [BY_TILE, RANDOM], ids=["by_tile", "random"])
def test_equal_seeds_split_equally_and_others_do_not(params):
    entries = entries_of({"Crack": [6] * 10, "Free": [6] * 30})
    splits = [assign_folds(entries, params, seed) for seed in (20, 20, 21)]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


@pytest.mark.parametrize("method", ["by_tile", "random"])
def test_one_fold_tests_one_validates_and_the_others_train(method):
    knobs = {"test_fold": 1, "validation_fold": 4, "validation_tiles": None, "method": method}
    params = BY_TILE.model_copy(update=knobs)
    folds = {f"image-{fold}": fold for fold in range(FOLDS)}
    entries = [an_entry(image, "Crack", tile=image) for image in folds]
    assert ["train", "test", "train", "train", "validation"] == [*parts_of(entries, folds, params).values()]


@unhurried
@given(entries=datasets_with_tiles_of_two_types, kept=st.integers(1, 3))
def test_validation_keeps_so_many_tiles_of_each_type_and_its_sound_ones_and_the_rest_trains(entries, kept):
    folds = assign_folds(entries, BY_TILE, 0)
    params = BY_TILE.model_copy(update={"validation_tiles": kept})
    parts = parts_of(entries, folds, params)
    assert len({(e.tile, parts[e.name]) for e in entries}) == len({e.tile for e in entries})
    fold = [entry for entry in entries if folds[entry.name] == params.validation_fold]
    assert all(parts[entry.name] in {"validation", "train"} for entry in fold)
    assert all(parts[entry.name] == "validation" for entry in fold if entry.defect_type == "Free")
    for defect_type in TWO_TYPES:
        tiles = {entry.tile for entry in fold if entry.defect_type == defect_type}
        validating = {
            entry.tile for entry in fold if entry.defect_type == defect_type and parts[entry.name] == "validation"
        }
        assert min(kept, len(tiles)) <= len(validating)
        if not any(entry.tile.startswith("both") for entry in fold):
            assert len(validating) <= kept
    elsewhere = [entry.name for entry in entries if folds[entry.name] != params.validation_fold]
    whole = parts_of(entries, folds, params.model_copy(update={"validation_tiles": None}))
    assert all(parts[image] == whole[image] for image in elsewhere)


def test_a_validation_part_whose_free_images_all_train_is_refused():
    entries = [an_entry("a", "Crack", tile="1"), an_entry("b", "Crack", tile="2"), an_entry("c", "Free", tile="2")]
    folds = dict.fromkeys("abc", BY_TILE.validation_fold)
    refuse_empty_validation(entries, parts_of(entries, folds, BY_TILE.model_copy(update={"validation_tiles": 2})))
    parts = parts_of(entries, folds, BY_TILE.model_copy(update={"validation_tiles": 1}))
    assert {"a": "validation", "b": "train", "c": "train"} == parts
    with pytest.raises(DatasetError, match=r"no Free image.*Raise data_split\.validation_tiles"):
        refuse_empty_validation(entries, parts)


def test_a_random_split_spares_nothing():
    entries = entries_of({"Crack": [6] * 10, "Free": [6] * 30})
    folds = assign_folds(entries, RANDOM, 0)
    parts = parts_of(entries, folds, RANDOM.model_copy(update={"validation_tiles": 1}))
    assert all(parts[image] == "validation" for image, fold in folds.items() if fold == RANDOM.validation_fold)


@pytest.mark.parametrize(("params", "count"), [(BY_TILE, "2 tiles"), (RANDOM, "4 images")])
def test_a_type_with_too_few_for_the_folds_is_named(params, count):
    with pytest.raises(DatasetError, match=rf"^Fray has {count}: too few for 5 folds, lower data_split\.folds"):
        assign_folds(entries_of({"Fray": [2, 2], "Free": [6] * 5}), params, 0)


def test_a_type_is_named_with_every_fold_that_lacks_it():
    entries = published_entries()
    folds = assign_folds(entries, BY_TILE, 0)
    with pytest.raises(
        DatasetError, match=r"^fold 0 has no Fray image with a defect, fold 1 has .* lower data_split\.folds"
    ):
        refuse_lacking([entry for entry in entries if entry.defect_type != "Fray" or folds[entry.name] > 1], folds)
    refuse_lacking(entries, folds)


def test_a_fold_in_which_every_mask_of_a_type_is_empty_is_named():
    entries = published_entries()
    folds = assign_folds(entries, BY_TILE, 0)
    emptied = [
        replace(entry, defect_pixels=0) if (folds[entry.name], entry.defect_type) == (2, "Uneven") else entry
        for entry in entries
    ]
    with pytest.raises(DatasetError, match=r"^fold 2 has no Uneven image with a defect: add such tiles"):
        refuse_lacking(emptied, folds)


@pytest.mark.parametrize(("read", "stage"), [(read_index, "data_load"), (read_split, "data_split")])
def test_a_missing_table_names_the_stage_that_writes_it(tmp_path, read, stage):
    with pytest.raises(DatasetError, match=rf"nowhere\.csv is missing: run `dvc repro {stage}`"):
        read(tmp_path / "nowhere.csv")


def test_the_index_is_read_as_it_was_written(tmp_path):
    entries = entries_of({"Crack": [2, 1], "Free": [3]})
    write_index(entries[::-1], tmp_path)
    assert entries == read_index(tmp_path / "index.csv")


def published_entries():
    """The published images as the tile table names them; types are dealt, because the table does not hold them."""
    tiles = read_tile_ids()
    types = {tile: TYPES[place % len(TYPES)] for place, tile in enumerate(sorted(set(tiles.values())))}
    entries = (an_entry(i, types[t], tile=t, defect_pixels=int(types[t] != "Free")) for i, t in tiles.items())
    return sorted(entries, key=lambda entry: entry.name)


def test_the_shipped_table_names_1344_images_of_215_tiles():
    tiles = read_tile_ids()
    assert 1344 == len(tiles)
    assert 215 == len(set(tiles.values()))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder to run the stage in: the index of the published images, and its parameters."""
    monkeypatch.setattr(data_split, "check_packages", dict)  # tested by itself
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/tiles").mkdir(parents=True)
    write_index(published_entries(), tmp_path / "data/tiles")
    write_knobs(tmp_path / "params.yaml")
    return tmp_path


def split_rows(project):
    with (project / "data/split.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_stage_writes_fold_and_part_of_every_image(project):
    data_split.main()
    rows = split_rows(project)
    assert [entry.name for entry in published_entries()] == [row["image"] for row in rows]
    folds = {row["image"]: int(row["fold"]) for row in rows}
    assert folds == assign_folds(published_entries(), BY_TILE, load_params().base.seed)
    assert {row["image"]: row["part"] for row in rows} == parts_of(published_entries(), folds, BY_TILE)
    assert {row["image"]: row["part"] for row in rows} == read_split()
    parts_of_tiles = {(row["tile"], row["part"]) for row in rows}
    assert 215 == len(parts_of_tiles)


def test_the_stage_says_what_each_part_holds_and_by_tile_is_not_called_leaky(project, capsys):
    data_split.main()
    rows, said = split_rows(project), capsys.readouterr().out
    for part in PARTS:
        tiles = [row["tile"] for row in rows if row["part"] == part]
        assert f"{part}: {len(tiles)} images of {len(set(tiles))} tiles" in said
    assert "leaky" not in said


def test_a_random_split_is_called_leaky_and_is(project, capsys):
    write_knobs(project / "params.yaml", data_split__method="random")
    data_split.main()
    assert "leaky" in capsys.readouterr().out
    parts_of_tiles = {(row["tile"], row["part"]) for row in split_rows(project)}
    assert len(parts_of_tiles) > 215
