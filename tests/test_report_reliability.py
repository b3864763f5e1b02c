"""What the report says of the scores, on tables that are counted by hand."""

import numpy as np
import pytest

from studies.judged import Judged
from studies.report_reliability import band_rows, limit_rows, reliability


def scored(*rows):
    """Return images, each of a tile of its own. rows: score, whether there is a defect."""
    score, defective = (np.array(column) for column in zip(*rows, strict=True))
    tile = np.array([f"{place}-{value}" for place, value in enumerate(score)])
    return Judged(tile, score, defective, ~defective)


FIRST = scored((0.01, False), (0.01, False), (0.6, False), (0.7, True), (1.0, True))
SECOND = scored((0.01, True), (0.01, False), (0.6, True), (1.0, True))
KNOWN = scored((0.0, False), (0.5, False), (0.9, True))


@pytest.fixture
def found():
    one_kind = {"validation": [KNOWN, KNOWN], "test": [FIRST, SECOND]}
    return reliability({"photographs": one_kind, "tiles": one_kind})


def test_each_band_of_scores_tells_how_many_have_a_defect(found):
    bands = found["photographs"]["bands"]
    assert [(0.0, 0.02, 1, 4), (0.5, 0.75, 2, 3), (0.98, 1.0, 2, 2)] == [
        (row["from"], row["to"], row["defective"]["number"], row["defective"]["of"]) for row in bands
    ]


def test_the_expected_share_is_learned_from_validation_or_from_the_other_fold_alone(found):
    """Validation: 0 up to 0.5, 1 from 0.9 on. The first fold says 0 for 0.01 and for 0.6.

    The second one has a defect and none at 0.01, and three of four have one. Weighted to five defects of nine, the one
    without weighs 12 and each with a defect 5.
    """
    low, middle, high = found["photographs"]["bands"]
    assert (0.0, 1.0) == (low["validation"], high["validation"])
    assert pytest.approx((0.25 + 0.5 + 0.25) / 3) == middle["validation"]
    assert pytest.approx((5 / 17 + 5 / 17 + 0 + 0) / 4) == low["nested"]
    assert pytest.approx((1 + 1 + 0) / 3) == middle["nested"]


def test_ok_is_what_is_below_the_limit(found):
    """Nested, the first fold expects a defect at every score, the second none up to 0.6, where it has two."""
    limits = found["tiles"]["limits"]
    assert {"validation": (4, 9), "nested": (3, 9)} == {
        name: (row["below"]["number"], row["below"]["of"]) for name, row in limits.items()
    }
    assert {"validation": 1, "nested": 2} == {name: row["defective"]["number"] for name, row in limits.items()}


def test_one_fold_learns_from_its_validation_part_alone():
    found = reliability({kind: {"validation": [KNOWN], "test": [FIRST]} for kind in ("photographs", "tiles")})
    assert [["photographs", "validation"], ["tiles", "validation"]] == [row[:2] for row in limit_rows(found)]
    assert ["photographs", "0.5–0.75", "1 of 2, **50.0%** (0.0%–100.0%)", "37.5%"] == band_rows(found)[1]
