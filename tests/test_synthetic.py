"""Synthetic defects: visible, inside their mask, at the ends, of a plausible type, and off by default."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_crops import SAMPLES, UNCHANGED, assert_equal, epoch_of, sampler_of
from training_data import a_sample, params_with, real_sample

from training.dataset.index import FREE
from training.fitting.drawn import DRAWN
from training.fitting.synthetic import LEAST_CHANGE, UNKNOWN, add_defect, find_donors
from training.network.losses import segmentation_loss_with_logits

SOUND = real_sample("Free/exp1_num_10903")
DONORS = find_donors([sample for sample in SAMPLES if sample.entry.defect_type != FREE])
MANY = 300


def defects(*, donors=DONORS, sample=SOUND, count=MANY):
    """Images with a defect, and their labels; those whose defect could not be seen are left out."""
    found = [add_defect(sample, donors, np.random.default_rng(seed)) for seed in range(count)]
    return [(sample, label) for sample, label in found if label]


def with_square(height, width, *, at_row, size=6):
    """An image of one grey with a dark square that begins at a row, and its mask."""
    mask = np.zeros((height, width), bool)
    mask[at_row : at_row + size, 40 : 40 + size] = True
    return np.where(mask, 20, 120).astype(np.uint8), mask


def test_the_same_generator_gives_the_same_defect():
    (one, label), (other, other_label) = (add_defect(SOUND, DONORS, np.random.default_rng(7)) for _ in range(2))
    assert label == other_label
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.mask, other.mask)


def test_the_sample_that_is_drawn_on_stays_unchanged():
    before = SOUND.image.copy()
    assert len(defects()) > MANY / 2
    assert np.array_equal(before, SOUND.image)
    assert not SOUND.mask.any()


def test_a_synthetic_defect_is_surely_one_whatever_the_consensus_was():
    sound = replace(SOUND, consensus=np.zeros(SOUND.image.shape, np.float32))
    found = defects(sample=sound, count=10)
    assert found
    assert all(sample.consensus is None for sample, _ in found)


def test_every_defect_can_be_seen_within_its_mask():
    for sample, _ in defects():
        old, new = SOUND.image[sample.mask].astype(float), sample.image[sample.mask].astype(float)
        assert LEAST_CHANGE * 0.9 * old.mean() < np.abs(new - old).mean()


def test_a_defect_changes_hardly_anything_far_from_its_mask():
    for sample, _ in defects():
        rows, columns = np.nonzero(sample.mask)
        far = np.ones(sample.mask.shape, bool)
        far[max(0, rows.min() - 12) : rows.max() + 13, max(0, columns.min() - 12) : columns.max() + 13] = False
        old, new = SOUND.image[far].astype(float), sample.image[far].astype(float)
        assert (np.abs(new - old) <= 0.25 * old + 1).all()  # the softest outline reaches so far


def test_a_black_image_gets_no_defect():
    black = a_sample(np.zeros((90, 120), np.uint8), np.zeros((90, 120), bool))
    assert not defects(sample=black)


@pytest.mark.parametrize("size", [(8, 8), (20, 500), (500, 20)])
def test_images_of_any_size_get_defects(size):
    grey = np.random.default_rng(0).integers(90, 110, size).astype(np.uint8)
    found = defects(sample=a_sample(grey, np.zeros(size, bool)))
    assert found
    assert all(size == sample.image.shape == sample.mask.shape for sample, _ in found)


def test_notches_lie_at_the_end_and_lines_follow_the_grinding_marks():
    for seed in range(50):
        grey = np.full((200, 200), 120, np.float32)
        depth, _, defect_type = DRAWN["notch"][0](grey, np.random.default_rng(seed))
        assert "Break" == defect_type
        assert np.flatnonzero((depth > 0).any(axis=1))[0] <= 1
        depth, _, defect_type = DRAWN["line"][0](grey, np.random.default_rng(seed))
        across = (depth > -1).sum(axis=1)
        assert "Crack" == defect_type
        assert across.max() < 10 < (across > 0).sum()


def test_four_types_are_drawn_and_some_defects_of_unknown_type():
    assert {UNKNOWN, 1, 2, 3, 5} == {label for _, label in defects(donors=[])}


def test_defects_of_types_that_the_dataset_does_not_have_are_of_unknown_type():
    grey = np.full((100, 100), 120, np.uint8)
    sample = replace(a_sample(grey, np.zeros(grey.shape, bool)), types=("Scratch", "Crack"))
    assert {UNKNOWN, 2} == {label for _, label in defects(donors=[], sample=sample)}


def test_only_a_small_defect_at_an_end_is_pasted():
    at_end, inside = with_square(200, 300, at_row=5), with_square(200, 300, at_row=90)
    large = np.full((200, 300), 90, np.uint8), np.ones((200, 300), bool)
    samples = [
        a_sample(*pixels, defect_type=defect_type, tile=tile)
        for pixels, defect_type, tile in [
            (at_end, "Fray", "1"),
            (inside, "Fray", "2"),
            (large, "Break", "3"),
            (at_end, "Uneven", "4"),
        ]
    ]
    assert [[("1", 0)]] == [[(sample.entry.tile, turns) for sample, turns in found] for found in find_donors(samples)]


@pytest.mark.parametrize("turns", range(4))
def test_a_pasted_defect_keeps_its_end_and_its_distance_from_it(turns, monkeypatch):
    monkeypatch.setattr("training.fitting.synthetic.PASTED_SHARE", 1.0)
    monkeypatch.setattr("training.fitting.synthetic.DRAWN", {})
    image, mask = (np.rot90(pixels, -turns) for pixels in with_square(200, 200, at_row=5))
    donors = find_donors([a_sample(image, mask, defect_type="Fray")])
    sound = a_sample(np.full((150, 150), 90, np.uint8), np.zeros((150, 150), bool))
    found = defects(donors=donors, sample=sound, count=10)
    assert 10 == len(found)
    for sample, label in found:
        assert 4 == label
        assert [5, 6, 7, 8, 9, 10] == np.flatnonzero(np.rot90(sample.mask, turns).any(axis=1)).tolist()
        assert 15 == pytest.approx(sample.image[sample.mask].mean(), abs=8)  # 20 of 120 where 90 is around


def test_a_defect_that_is_larger_than_the_image_is_not_pasted(monkeypatch):
    monkeypatch.setattr("training.fitting.synthetic.PASTED_SHARE", 1.0)
    monkeypatch.setattr("training.fitting.synthetic.DRAWN", {})
    donors = find_donors([a_sample(*with_square(200, 200, at_row=5), defect_type="Fray")])
    small = a_sample(np.full((8, 8), 90, np.uint8), np.zeros((8, 8), bool))
    assert not defects(donors=donors, sample=small, count=10)


def test_the_stated_share_of_the_crops_without_a_defect_gets_one():
    knobs = {"train__free_share": 1.0, "train__crops_per_epoch": 200, "train__defect_centred_share": 1.0, **UNCHANGED}
    none, half = (epoch_of(sampler_of(train__synthetic_share=share, **knobs), 0)[1] for share in (0.0, 0.5))
    assert not none.any()
    assert pytest.approx(0.5, abs=0.15) == (half != 0).any(dim=(1, 2)).float().mean().item()


def test_crops_of_defective_images_stay_what_they_were():
    knobs = {"train__free_share": 0.0}
    assert_equal(*(epoch_of(sampler_of(train__synthetic_share=share, **knobs), 0) for share in (0.0, 1.0)))


def test_an_unknown_type_counts_as_a_defect_and_not_for_the_type():
    logits = torch.randn(2, 6, 16, 16, generator=torch.Generator().manual_seed(0))
    sound = torch.zeros(2, 16, 16, dtype=torch.int64)
    sound[0, 2:8, 2:8] = 3
    known, unknown = sound.clone(), sound.clone()
    known[1, 4:9, 4:9], unknown[1, 4:9, 4:9] = 1, UNKNOWN
    weights = {"type_weight": 0.0, "image_weight": 0.2}
    target = (known != 0).float()
    expected = segmentation_loss_with_logits(logits, known, target, **weights)
    assert torch.equal(expected, segmentation_loss_with_logits(logits, unknown, target, **weights))
    of_type = [
        segmentation_loss_with_logits(logits, label, target, type_weight=1.0, image_weight=0.2)
        - segmentation_loss_with_logits(logits, label, target, **weights)
        for label in (unknown, sound)
    ]
    torch.testing.assert_close(*of_type)


@pytest.mark.parametrize("share", [-0.1, 1.1, "half"])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="synthetic_share"):
        params_with(train__synthetic_share=share)
