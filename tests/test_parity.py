"""The exported graph is the evaluated network only if masks, types, probabilities and novelty agree."""

from dataclasses import replace

import numpy as np
import pytest
from training_data import a_prediction, params_with

from tiles.operating_point import OperatingPoint
from training.errors import ExportError
from training.graphs.parity import compare, refuse_too_far

POINT = OperatingPoint(threshold=128, alarm_score=0.0)
LIMITS = params_with().export
MASK = np.zeros((10, 10), bool)
MASK[:2] = True


def prediction(*, found: int = 3, level: int = 200, novelty: float = 1.0):
    told = a_prediction(MASK, np.where(MASK, level, 10), found=found, defect_type="Crack")
    return replace(told, novelty=novelty)


def test_equal_predictions_do_not_differ():
    found = compare([prediction()], [prediction()], POINT)
    assert (0, 0, 0, 0) == (found.differing_mask_pixels, found.differing_type_pixels, found.grey_levels, found.novelty)
    refuse_too_far(found, LIMITS)


def test_a_graph_that_names_all_types_wrongly_is_refused():
    found = compare([prediction()], [prediction(found=4)], POINT)
    assert 1.0 == found.differing_type_pixels
    with pytest.raises(ExportError, match=r"differing_type_pixels is 1\.0, but at most 0\.001 is allowed"):
        refuse_too_far(found, LIMITS)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"level": 100}, "differing_mask_pixels"),
        ({"level": 198}, "grey_levels is 2"),
        ({"novelty": 1.01}, "novelty"),
    ],
)
def test_each_other_difference_is_named(other, named):
    with pytest.raises(ExportError, match=named):
        refuse_too_far(compare([prediction()], [prediction(**other)], POINT), LIMITS)


def test_images_without_a_mask_have_no_type_to_differ_in():
    found = compare([prediction(level=10)], [prediction(level=10, found=4)], POINT)
    assert 0 == found.differing_type_pixels
