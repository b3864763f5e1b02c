"""The perturbations of an image: each does what its level says, and its neutral level does nothing."""

import numpy as np
import pytest
from training_data import a_sample, real_sample, sample_names

from training.evaluation.perturbations import PERTURBATIONS

HARD_LEVELS = {"gamma": 2.0, "gain": 0.5, "blur": 2.0, "jpeg_quality": 10, "noise": 16.0, "rotation": 10.0}


@pytest.fixture(scope="module")
def sample():
    return real_sample(sample_names("Break")[0])


def flat(grey, shape=(40, 60), name="1"):
    return a_sample(np.full(shape, grey, np.uint8), np.zeros(shape, bool), name=name)


def perturb(name, sample, level):
    return PERTURBATIONS[name].apply(sample, level)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_neutral_level_of_each_perturbation_is_the_identity(sample, name):
    changed = PERTURBATIONS[name].apply(sample, PERTURBATIONS[name].neutral)
    np.testing.assert_array_equal(sample.image, changed.image)
    np.testing.assert_array_equal(sample.mask, changed.mask)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_each_perturbation_changes_the_image_keeps_its_size_and_leaves_the_given_one_alone(sample, name):
    before = sample.image.copy()
    changed = PERTURBATIONS[name].apply(sample, HARD_LEVELS[name])
    assert (np.uint8, sample.image.shape) == (changed.image.dtype, changed.image.shape)
    assert (changed.image != sample.image).mean() > 0.5
    np.testing.assert_array_equal(before, sample.image)


@pytest.mark.parametrize("name", sorted(PERTURBATIONS.keys() - {"rotation"}))
def test_only_a_rotation_moves_the_true_mask(sample, name):
    assert PERTURBATIONS[name].apply(sample, HARD_LEVELS[name]).mask is sample.mask


def test_a_gamma_below_one_is_brighter_and_keeps_black_and_white():
    assert [0, 181, 255] == [int(perturb("gamma", flat(grey), 0.5).image[0, 0]) for grey in (0, 128, 255)]


def test_a_gain_loses_what_exceeds_white():
    assert [0, 150, 255] == [int(perturb("gain", flat(grey), 1.5).image[0, 0]) for grey in (0, 100, 200)]


def test_a_blur_spreads_a_point_by_its_sigma():
    dot = a_sample(np.pad([[255]], 20).astype(np.uint8), np.zeros((41, 41), bool))
    columns = perturb("blur", dot, 2.0).image.sum(axis=0, dtype=float)
    sigma = np.sqrt((columns * (np.arange(41) - 20) ** 2).sum() / columns.sum())
    assert 2.0 == pytest.approx(sigma, rel=0.05)


def test_a_lower_quality_is_farther_from_the_published_file(sample):
    far = [
        np.abs(perturb("jpeg_quality", sample, quality).image.astype(int) - sample.image).mean()
        for quality in (10, 50, 95)
    ]
    assert sorted(far, reverse=True) == far
    assert 0 < far[-1] < 2


def test_noise_has_its_standard_deviation_and_an_image_always_gets_the_same():
    noisy = perturb("noise", flat(128, (200, 300)), 8.0).image
    assert 8.0 == pytest.approx(noisy.std(), rel=0.02)
    np.testing.assert_array_equal(noisy, perturb("noise", flat(128, (200, 300)), 8.0).image)
    assert (noisy != perturb("noise", flat(128, (200, 300), name="2"), 8.0).image).mean() > 0.5


@pytest.mark.parametrize("degrees", [-20.0, 5.0, 90.0])
def test_a_rotation_turns_the_mask_with_the_image(degrees):
    mask = np.zeros((90, 140), bool)
    mask[30:50, 80:110] = True
    turned = perturb("rotation", a_sample(np.where(mask, 255, 0).astype(np.uint8), mask), degrees)
    np.testing.assert_array_equal(turned.image > 127, turned.mask)
    assert mask.sum() == pytest.approx(turned.mask.sum(), rel=0.03)
    assert (turned.mask != mask).sum() > 20


def test_a_positive_rotation_is_counter_clockwise_about_the_centre():
    mask = np.zeros((60, 60), bool)
    mask[5:10, 40:50] = True
    np.testing.assert_array_equal(np.rot90(mask), perturb("rotation", a_sample(mask.astype(np.uint8), mask), 90.0).mask)


def test_a_rotation_repeats_the_edge_where_the_frame_leaves_the_image():
    turned = perturb("rotation", flat(77, (222, 103)), 10.0)
    assert {77} == set(turned.image.ravel().tolist())
