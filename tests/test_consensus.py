"""Consensus masks: who votes, what a majority marks, what becomes of doubtful photographs, and what is scored on it."""

import numpy as np
import pytest
from surfaces import HEIGHT, SPOT, WIDTH, mask_of, series
from training_data import a_prediction, a_sample

from studies import consensus_masks
from studies.consensus import TABLE, write_consensus
from studies.consensus_masks import with_consensus
from studies.tile_frames import register_tiles
from training.evaluation.image_results import read_results, result_of, write_results
from training.evaluation.predict import Prediction

SIZE = (6, 9)
NAMES = "abcdef"


def shifted(right, down):
    """A frame whose photograph shows the tile this much further to the right and down than the first one."""
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def photographs(*columns, types=("Crack",) * 6, tile="1"):
    """Photographs of one tile; each mask marks these columns."""
    samples = []
    for name, chosen, defect_type in zip(NAMES, columns, types, strict=False):
        mask = np.zeros(SIZE, bool)
        mask[:, list(chosen)] = True
        samples.append(a_sample(np.full(SIZE, 100, np.uint8), mask, defect_type=defect_type, name=name, tile=tile))
    return samples


def agreed(samples, frames=None):
    """{image: sample with its consensus}; by default all photographs show the same."""
    frames = {sample.entry.name: np.eye(3) for sample in samples} if frames is None else frames
    return {sample.entry.name: sample for sample in with_consensus(samples, frames)}


@pytest.fixture(autouse=True)
def doubtful(monkeypatch):
    """The list of doubtful images, which a test may fill."""
    names = []
    monkeypatch.setattr(consensus_masks, "doubtful_images", lambda: names)
    return names


def columns_of(sample):
    """The columns that the mask marks from top to bottom; it marks nothing else."""
    whole = sample.mask.all(axis=0)
    assert (sample.mask == whole).all()
    return np.flatnonzero(whole).tolist()


def test_a_pixel_is_defective_where_more_than_half_of_the_masks_mark_it():
    for sample in agreed(photographs([1, 2, 3, 4], [2, 3, 4], [3, 4], [4])).values():
        assert [3, 4] == columns_of(sample)
        assert 2 * SIZE[0] == sample.entry.defect_pixels == sample.mask.sum()


def test_a_mask_votes_where_its_photograph_shows_the_tile_and_only_there():
    frames = {"a": shifted(0, 0), "b": shifted(2, 0), "c": shifted(0, 3), "d": shifted(0, 3)}
    lower = [False] * 3 + [True] * 3
    found = agreed(photographs([4], [6], [], []), frames)
    assert lower == found["a"].mask[:, 4].tolist()  # c and d show the upper rows: two of four mark them
    assert lower == found["b"].mask[:, 6].tolist()
    assert [] == columns_of(found["c"])
    found = agreed(photographs([4], [6], []), frames)
    assert [[4], [6]] == [columns_of(found[name]) for name in "ab"]
    assert lower == found["c"].mask[:, 4].tolist()  # above them c votes alone


def test_a_photograph_that_is_not_registered_keeps_its_mask_and_has_no_other_vote():
    found = agreed(photographs([1, 3], [2, 3], [1, 7]), {"a": np.eye(3), "b": np.eye(3)})
    assert [[3], [3], [1, 7]] == [columns_of(found[name]) for name in "abc"]


def test_a_doubtful_photograph_gets_mask_and_type_of_its_siblings_without_a_vote_of_its_own(doubtful):
    doubtful.append("d")
    samples = photographs([1, 2], [1], [1, 2, 3], [], types=("Crack", "Fray", "Fray", "Free"))
    found = agreed(samples)
    assert [1, 2] == columns_of(found["d"])
    assert "Fray" == found["d"].entry.defect_type
    assert 4 == found["d"].type_number
    assert "Crack" == found["a"].entry.defect_type


def test_a_free_photograph_votes_unless_it_is_doubtful():
    samples = photographs([1], [1], [], [], types=("Crack", "Crack", "Free", "Free"))
    found = agreed(samples)
    assert not any(sample.mask.any() for sample in found.values())
    assert "Free" == found["c"].entry.defect_type


@pytest.mark.parametrize("own", [[], [2]], ids=["an empty mask", "a mask"])
@pytest.mark.parametrize("siblings", [[[1], [5]], [[], []]], ids=["disagree", "mark nothing"])
def test_a_doubtful_photograph_is_left_out_if_no_majority_marks_anything(doubtful, siblings, own):
    doubtful.append("c")
    assert {"a", "b"} == agreed(photographs(*siblings, own, types=("Crack", "Crack", "Free"))).keys()


def test_a_doubtful_photograph_that_is_not_registered_is_left_out(doubtful):
    doubtful.append("c")
    assert {"a", "b"} == agreed(photographs([1], [1], [1]), {"a": np.eye(3), "b": np.eye(3)}).keys()


def test_photographs_of_other_tiles_do_not_vote_and_a_tile_without_a_mask_stays_as_it_is():
    sound = photographs([], [], types=("Free", "Free"), tile="2")
    sound = [a_sample(s.image, s.mask, name=s.entry.name * 2, tile="2") for s in sound]
    found = agreed([*photographs([1], [1]), *sound])
    assert [1] == columns_of(found["a"])
    assert [sample is found[sample.entry.name] for sample in sound] == [True, True]


def test_the_masks_of_moved_photographs_are_laid_on_one_another():
    samples = series(1, 1000, SPOT, defect_type="Blowhole")
    for before, after in zip(samples, with_consensus(samples, register_tiles(samples)), strict=True):
        assert (before.mask & after.mask).sum() > 0.9 * (before.mask | after.mask).sum()


def test_predictions_are_counted_on_the_consensus(tmp_path):
    *labelled, unlabelled = series(1, 1000, SPOT, defect_type="Blowhole")
    unlabelled = a_sample(unlabelled.image, mask_of(), name=unlabelled.entry.name, tile="1000")
    samples = [*labelled, unlabelled]
    everywhere = [
        Prediction(s, np.full((HEIGHT, WIDTH), 255, np.uint8), np.ones((HEIGHT, WIDTH), np.uint8)) for s in samples
    ]
    write_consensus(everywhere, tmp_path)
    for result in read_results(tmp_path / TABLE):
        assert ("Blowhole", True) == (result.defect_type, result.defective)
        assert 14 * 14 == pytest.approx(result.counts.defect[255], rel=0.1)
        assert HEIGHT * WIDTH == result.counts.defect.sum() + result.counts.sound.sum()


def test_the_table_has_the_columns_and_rows_of_the_published_one_without_those_left_out(tmp_path, doubtful):
    doubtful.append("2")
    mask = np.zeros((40, 40), bool)
    predictions = [a_prediction(mask, mask, name=name) for name in "123"]
    write_consensus(predictions, tmp_path)
    write_results([result_of(prediction) for prediction in predictions], tmp_path / "test.csv")
    header, one, _, three = (tmp_path / "test.csv").read_text().splitlines()
    assert [header, one, three] == (tmp_path / TABLE).read_text().splitlines()
