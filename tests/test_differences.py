"""Intervals of differences: which result is taken from which, and what has none."""

import numpy as np
import pytest

from training.evaluation.differences import differences
from training.evaluation.figures import Outcomes

FIGURES = ("dice_pooled", "dice_by_type.Crack", "auroc", "free.any_pixel")
WORSE = {"auroc": -1, "free.any_pixel": 4}
SIZES = {"samples": 50, "seed": 1}


def outcomes(found, *, tiles=4, false_alarms=False):
    """A Crack and a Free photograph of each tile; of each defect's ten pixels some are found."""
    numbers = np.arange(2 * tiles)
    crack = numbers % 2 == 1
    return Outcomes(
        name=numbers.astype(str),
        tile=(numbers // 2).astype(str),
        defect_type=np.where(crack, "Crack", "Free"),
        true_positive=np.where(crack, found, 0),
        false_positive=np.where(crack, 0, 3 * false_alarms),
        false_negative=np.where(crack, 10 - found, 0),
        found_type=np.where(crack, "Crack", ""),
        score=np.where(crack, 0.1 * found, 0.5),
    )


def test_a_better_result_differs_from_the_first_upwards_and_a_worse_one_downwards():
    """Every tile is as the others: each draw has the same difference."""
    results = {"first": outcomes(6), "better": outcomes(9), "worse": outcomes(3, false_alarms=True)}
    found = differences(results, FIGURES, **SIZES)
    assert ["better", "worse"] == list(found)
    middle, high, low = (2 * pixels / (pixels + 10) for pixels in (6, 9, 3))
    for name, dice, others in (("better", high, {"auroc": 0, "free.any_pixel": 0}), ("worse", low, WORSE)):
        expected = {"dice_pooled": dice - middle, "dice_by_type.Crack": dice - middle, **others}
        for end in (0, 1):
            assert expected == pytest.approx({figure: within[end] for figure, within in found[name].items()})


def test_each_draw_has_the_same_tiles_for_all_in_whatever_order_their_images_are():
    first, second = outcomes(np.repeat([0, 2, 4, 6], 2)), outcomes(np.repeat([9, 3, 7, 5], 2))
    shuffled = second.take(np.array([5, 2, 7, 0, 1, 6, 3, 4]))
    found = differences({"first": first, "second": second, "shuffled": shuffled}, ["dice_pooled"], **SIZES)
    low, high = found["second"]["dice_pooled"]
    assert low < high
    assert (low, high) == pytest.approx(found["shuffled"]["dice_pooled"])


def test_what_one_tile_alone_decides_has_no_interval():
    one = outcomes(6, tiles=1)
    assert {"second": {}} == differences({"first": one, "second": one}, FIGURES[:2], **SIZES)


def test_a_figure_that_no_draw_shows_has_no_interval():
    everything = outcomes(6)
    cracks = everything.take(everything.defective)
    assert {"dice_pooled"} == differences({"a": cracks, "b": cracks}, ["dice_pooled", "auroc"], **SIZES)["b"].keys()
