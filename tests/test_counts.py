"""The metrics against plain counting on random images, and the definitions at their edges."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from training_data import a_prediction, unhurried

from training.evaluation.counts import (
    THRESHOLDS,
    best_threshold,
    confusion_at,
    count,
    dice,
    dice_image_mean,
    dice_pooled,
    pool,
    precision_recall,
)
from training.evaluation.figures import iou_of

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
thresholds = st.integers(1, 255)


@st.composite
def predictions(draw):
    """Few different probabilities, so that thresholds often meet them exactly."""
    shape = draw(shapes)
    levels = draw(st.lists(st.integers(0, 255), min_size=1, max_size=4))
    probability = draw(arrays(np.uint8, shape, elements=st.sampled_from([*levels, 0, 255])))
    return a_prediction(draw(arrays(np.bool_, shape)), probability)


some_predictions = st.lists(predictions(), min_size=1, max_size=4)


def pixels(predictions):
    """True and predicted probability of all pixels of all images."""
    truth = np.concatenate([p.sample.mask.ravel() for p in predictions])
    return truth, np.concatenate([p.probability.ravel() for p in predictions])


def plain_confusion(truth, found):
    return int((truth & found).sum()), int((~truth & found).sum()), int((truth & ~found).sum())


def plain_dice(truth, found):
    return 2 * (truth & found).sum() / (truth.sum() + found.sum()) if (truth | found).any() else 1.0


def plain_iou(truth, found):
    return (truth & found).sum() / (truth | found).sum() if (truth | found).any() else 1.0


@unhurried
@given(prediction=predictions(), threshold=thresholds)
def test_an_images_figures_are_those_of_plain_counting(prediction, threshold):
    counts, truth, found = count(prediction), prediction.sample.mask, prediction.probability >= threshold
    assert plain_confusion(truth, found) == confusion_at(counts, threshold)
    assert plain_dice(truth, found) == pytest.approx(dice(counts, threshold))
    assert plain_iou(truth, found) == pytest.approx(iou_of(dice(counts, threshold)))


@unhurried
@given(predictions=some_predictions, threshold=thresholds)
def test_pooled_figures_count_all_pixels_together_and_means_every_image_alike(predictions, threshold):
    counts = [count(p) for p in predictions]
    truth, probability = pixels(predictions)
    assert plain_confusion(truth, probability >= threshold) == confusion_at(pool(counts), threshold)
    assert plain_dice(truth, probability >= threshold) == pytest.approx(dice_pooled(counts, threshold))
    each = [plain_dice(p.sample.mask, p.probability >= threshold) for p in predictions]
    assert np.mean(each) == pytest.approx(dice_image_mean(counts, threshold))


def test_a_large_defect_outweighs_a_small_one_in_the_pool_and_not_in_the_mean():
    mask = np.ones((10, 10), bool)
    found = count(a_prediction(mask, mask * 255))
    missed = count(a_prediction(np.eye(1, 1, dtype=bool), np.zeros((1, 1))))
    assert pytest.approx(200 / 201) == dice_pooled([found, missed], 128)
    assert 0.5 == dice_image_mean([found, missed], 128)


@unhurried
@given(predictions=some_predictions)
def test_no_threshold_has_a_higher_pooled_dice_than_the_best(predictions):
    truth, probability = pixels(predictions)
    best = best_threshold([count(p) for p in predictions])
    assert best in THRESHOLDS
    highest = max(plain_dice(truth, probability >= threshold) for threshold in range(1, 256))
    assert highest == pytest.approx(plain_dice(truth, probability >= best))


def test_sound_images_raise_the_best_threshold_above_their_false_alarms():
    mask = np.array([[True, True, False, False]])
    defective = count(a_prediction(mask, np.array([[200, 90, 0, 0]])))
    sound = count(a_prediction(np.zeros((1, 4), bool), np.array([[100, 100, 100, 100]])))
    assert best_threshold([defective]) <= 90
    assert 100 < best_threshold([defective, sound]) <= 200


@pytest.mark.parametrize("figure", [dice, lambda *of: iou_of(dice(*of))], ids=["dice", "iou"])
def test_an_empty_truth_that_is_predicted_empty_is_1_and_one_false_pixel_makes_it_0(figure):
    empty = np.zeros((4, 4), bool)
    one_pixel = np.zeros((4, 4))
    one_pixel[1, 2] = 128
    assert 1 == figure(count(a_prediction(empty, np.full((4, 4), 127))), 128)
    assert 0 == figure(count(a_prediction(empty, one_pixel)), 128)


@unhurried
@given(predictions=some_predictions)
def test_precision_and_recall_are_those_of_plain_counting_and_recall_never_rises(predictions):
    truth, probability = pixels(predictions)
    rows = precision_recall([count(p) for p in predictions])
    assert list(range(1, 256)) == [threshold for threshold, _, _ in rows]
    for threshold, precision, recall in rows:
        found = probability >= threshold
        assert ((truth & found).sum() / found.sum() if found.any() else 1) == pytest.approx(precision)
        assert ((truth & found).sum() / truth.sum() if truth.any() else 1) == pytest.approx(recall)
    assert all(lower >= higher for (_, _, lower), (_, _, higher) in pairwise(rows))


def test_no_images_pool_to_no_pixels():
    assert (0, 0, 0) == confusion_at(pool([]), 128)
    assert 1 == dice_pooled([], 128)
