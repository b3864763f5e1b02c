"""The figures: those of a small part known by hand, the choice of an operating point, and intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from training_data import a_prediction, unhurried

from tiles import DEFECT_TYPES
from tiles.operating_point import OperatingPoint
from training.errors import DatasetError
from training.evaluation.bootstrap import OF_DEFECTIVE, bootstrap, interval, of_one_tile
from training.evaluation.figures import dice_by_type, dice_pooled, join, mean_of_types, measure, outcomes_at
from training.evaluation.image_results import THRESHOLDS, read_results, result_of, write_results
from training.evaluation.operating_point import USUAL_THRESHOLD, beyond_the_rate, choose_operating_point
from training.evaluation.outputs import image_rows

POINT = OperatingPoint(threshold=128, alarm_score=0.0)


def drawn(name, defect_type, defect, found, *, missed=0, false=0, level=200, false_level=None):
    """A result whose image has `defect` defect pixels, of which all but `missed` are found, and `false` others, too.

    Each found pixel has the probability `level`, the others `false_level` where it is given, and the type `found`.
    """
    mask, probability = np.zeros(100, bool), np.zeros(100)
    mask[:defect] = True
    probability[: defect - missed] = level
    probability[100 - false :] = false_level or level
    shape = (10, 10)
    tile = f"tile of {name[:2]}"
    prediction = a_prediction(
        mask.reshape(shape), probability.reshape(shape), found=found, defect_type=defect_type, name=name, tile=tile
    )
    return result_of(prediction)


RESULTS = [
    drawn("b1", "Blowhole", 4, 1),
    drawn("k1", "Break", 10, 2, missed=10, false=10),  # something is found, nothing of the defect
    drawn("c1", "Crack", 10, 2, missed=5),  # half of it is found, as a Break
    drawn("c1 again", "Crack", 10, 3, missed=10),
    drawn("f1", "Fray", 20, 4),
    drawn("u1", "Uneven", 0, 5, false=3, level=150),  # published with an empty mask
    drawn("u2", "Uneven", 50, 5, false=10),
    drawn("o1", "Free", 0, 1),
    drawn("o2", "Free", 0, 1, false=1, level=130),
    drawn("o3", "Free", 0, 1, false=20, level=160),
    drawn("o4", "Free", 0, 1, false=21, level=250),
]


def test_every_figure_of_a_small_part_is_the_one_computed_by_hand():
    expected = {
        "images": 11,
        "tiles": 10,
        "defective_images": 6,  # u1 has no defect pixel
        # Of the six: 79 pixels right, 20 false, 25 missed; all images together have 65 false ones.
        "dice_pooled": 158 / 203,
        "iou_pooled": 79 / 124,
        "dice_pooled_with_free": 158 / 248,
        "iou_pooled_with_free": 79 / 169,
        "dice_image_mean": (1 + 0 + 10 / 15 + 0 + 1 + 100 / 110) / 6,
        "dice_by_type": {"Blowhole": 1, "Break": 0, "Crack": 10 / 25, "Fray": 1, "Uneven": 100 / 113},
        "dice_type_mean": (1 + 0 + 10 / 25 + 1 + 100 / 113) / 5,
        "found_images": 4,  # b1, c1, f1, u2: some of their defect's own pixels
        "type_right_of_found": 3 / 4,
        "type_macro_f1": 3 / 4,  # 1 for Blowhole, Fray and Uneven, 0 for Crack
        # The 32 highest pixels' means: b1 25, k1 62.5, c1 31.3, c1 again 0, f1 125, u2 200;
        # of the sound ones: u1 14, o1 0, o2 4, o3 100, o4 164.
        "auroc": (3 + 3 + 3 + 0.5 + 4 + 5) / 30,
        "free": {"images": 4, "any_pixel": 3, "over_20_px": 1, "any_pixel_share": 0.75, "over_20_px_share": 0.25},
    }
    actual = measure(outcomes_at(RESULTS, POINT))
    assert {"average_precision"} == actual.keys() - expected.keys()
    for name, value in expected.items():
        assert actual[name] == pytest.approx(value), name


def test_an_image_below_the_alarm_score_has_no_predicted_pixel_and_no_type():
    rows = {row["image"]: row for row in image_rows(outcomes_at(RESULTS, OperatingPoint(128, alarm_score=0.11)))}
    assert {"true_positive": 0, "false_negative": 4, "found_type": ""}.items() <= rows["b1"].items()  # 25 / 255
    assert {"true_positive": 5, "false_negative": 5, "found_type": "Break"}.items() <= rows["c1"].items()  # 31.3 / 255
    assert 0 == rows["o2"]["false_positive"]


def test_a_perfect_part_scores_1_in_everything_and_alarms_in_nothing():
    results = [drawn(str(i), name, 10 * i, i) for i, name in enumerate(DEFECT_TYPES, start=1)]
    figures = measure(outcomes_at([*results, drawn("6", "Free", 0, 1)], POINT))
    for name in ("dice_pooled", "iou_pooled", "dice_pooled_with_free", "dice_image_mean", "dice_type_mean"):
        assert 1 == figures[name]
    perfect = ("auroc", "average_precision", "found_images", "type_right_of_found", "type_macro_f1")
    assert (1, 1, 5, 1, 1) == tuple(figures[name] for name in perfect)
    assert 0 == figures["free"]["any_pixel"]


def test_a_part_without_a_type_or_without_defects_is_measured_by_what_it_has():
    free = measure(outcomes_at([drawn("1", "Free", 0, 1), drawn("2", "Free", 0, 1, false=5)], POINT))
    assert {} == free["dice_by_type"]
    assert (0, 1) == (free["defective_images"], free["free"]["any_pixel"])
    assert "auroc" not in free
    assert {"Crack"} == measure(outcomes_at([drawn("1", "Crack", 5, 3)], POINT))["dice_by_type"].keys()


def test_an_images_row_holds_its_counts_and_what_was_found():
    rows = {row["image"]: row for row in image_rows(outcomes_at(RESULTS, POINT))}
    assert {
        "image": "c1",
        "tile": "tile of c1",
        "type": "Crack",
        "found_type": "Break",
        "true_positive": 5,
        "false_positive": 0,
        "false_negative": 5,
        "dice": 0.6667,
        "score": 0.1225,
    } == rows["c1"]
    assert "" == rows["o1"]["found_type"]


@pytest.mark.parametrize(("rate", "alarms"), [(0.0, 0), (0.25, 1), (0.5, 2), (0.74, 2), (1.0, 4)])
def test_the_alarm_score_is_the_lowest_within_the_false_alarm_rate(rate, alarms):
    point = choose_operating_point(RESULTS, rate)
    free = [result.score for result in RESULTS if result.defect_type == "Free"]
    assert alarms == sum(value >= point.alarm_score for value in free)
    expected = round(sorted(free)[-1 - alarms] + 0.0001, 4) if alarms < len(free) else 0.0
    assert expected == point.alarm_score


def test_where_no_alarm_score_keeps_to_the_rate_this_is_told():
    """A tenth of ten images may raise an alarm."""
    highest = [drawn(f"h{n}", "Free", 0, 1, false=100, level=255) for n in range(2)]
    others = [drawn(f"o{n}", "Free", 0, 1) for n in range(9)]
    one, two = [highest[0], *others], [*highest, *others[:8]]
    assert (0.0001, 1.0) == tuple(choose_operating_point(results, 0.1).alarm_score for results in (one, two))
    assert "" == beyond_the_rate(one, 0.0001, 0.1)
    assert beyond_the_rate(two, 1.0, 0.1).startswith("2 of 10 Free validation images have the highest score, 1, so no")


def test_the_threshold_has_the_best_mean_of_the_types_above_the_alarm_score():
    results = [
        drawn("c1", "Crack", 10, 3, level=90),
        drawn("c2", "Crack", 2, 3, false=20, level=60),
        drawn("u1", "Uneven", 45, 5, level=90),
        drawn("u2", "Uneven", 45, 5, level=60),  # more pixels than all Cracks have
        drawn("o1", "Free", 0, 1, false=100, level=70),
    ]
    everything, certain = (dice_pooled(outcomes_at(results[:-1], OperatingPoint(t, 0.0))) for t in (56, 64))
    assert everything > certain
    assert 60 < choose_operating_point(results, 1.0).threshold <= 90
    assert choose_operating_point(results, 0.0).alarm_score > 70 / 255


@pytest.mark.parametrize(("level", "false_level", "expected"), [(30, 16, 24), (255, 200, 208)])
def test_a_threshold_that_every_tile_wants_is_taken_however_unusual(level, false_level, expected):
    results = [drawn(name, name, 10, 1, false=30, level=level, false_level=false_level) for name in DEFECT_TYPES]
    assert expected == choose_operating_point(results, 1.0).threshold


def test_where_the_tiles_do_not_agree_the_usual_threshold_is_taken():
    wants_low = [
        drawn(f"{tile}{again}", "Blowhole", pixels, 1, level=level)
        for tile in ("b1", "b2")
        for again, pixels, level in (("", 10, 200), (" again", 12, 8))
    ]
    wants_high = [drawn("c1", "Crack", 10, 3, false=10, false_level=40)]
    assert 8 == choose_operating_point(wants_low, 1.0).threshold
    assert 64 == choose_operating_point(wants_high, 1.0).threshold
    both = [
        dice_by_type(outcomes_at([*wants_low, *wants_high], OperatingPoint(threshold, 0.0))) for threshold in (8, 64)
    ]
    assert mean_of_types(both[0]) > mean_of_types(both[1])
    assert USUAL_THRESHOLD == choose_operating_point([*wants_low, *wants_high], 1.0).threshold


def test_one_tile_alone_does_not_choose_the_threshold():
    faint = [drawn("b1", "Blowhole", 10, 1), drawn("b1 again", "Blowhole", 12, 1, level=8)]
    assert USUAL_THRESHOLD == choose_operating_point(faint, 1.0).threshold


def test_a_table_gives_the_same_figures_at_every_threshold_of_its_grid(tmp_path):
    write_results(RESULTS, tmp_path / "results.csv")
    read = read_results(tmp_path / "results.csv")
    for threshold in THRESHOLDS:
        point = OperatingPoint(threshold, 0.05)
        assert measure(outcomes_at(RESULTS, point)) == measure(outcomes_at(read, point))


@pytest.mark.parametrize("content", ["image,tile\n1,2\n", "image,tile,type,score,defect_0\n1,2,Free,x,y\n"])
def test_what_is_no_table_of_results_is_refused_by_its_name(tmp_path, content):
    (tmp_path / "results.csv").write_text(content)
    with pytest.raises(DatasetError, match=r"results\.csv is not a table of results"):
        read_results(tmp_path / "results.csv")
    with pytest.raises(DatasetError, match="is missing: `dvc repro evaluate` writes"):
        read_results(tmp_path / "none.csv")


def test_folds_are_joined_each_at_its_own_operating_point():
    one, other = outcomes_at(RESULTS[:5], POINT), outcomes_at(RESULTS[5:], OperatingPoint(255, 0.0))
    joined = join([one, other])
    assert len(RESULTS) == len(joined)
    assert one.predicted.sum() == joined.predicted.sum() > 0


def test_a_bootstrap_draws_whole_tiles_and_its_interval_covers_the_figure():
    draws = bootstrap(outcomes_at(RESULTS, POINT), samples=50, seed=1)
    assert 50 == len(draws)
    assert all(10 <= draw["images"] <= 20 for draw in draws)  # ten tiles, one of which has two images
    low, high = interval([draw["dice_pooled"] for draw in draws])
    assert 0 < low < 158 / 203 < high <= 1
    assert draws == bootstrap(outcomes_at(RESULTS, POINT), samples=50, seed=1)


def test_a_draw_has_no_figure_of_what_it_lacks():
    few = outcomes_at([RESULTS[0], RESULTS[4], *RESULTS[7:]], POINT)  # a Blowhole, a Fray and four Free images
    draws = bootstrap(few, samples=50, seed=1)
    lacking = [draw for draw in draws if not draw["defective_images"]]
    assert lacking
    assert not any({"dice_pooled", "dice_type_mean", "type_right_of_found"} & draw.keys() for draw in lacking)
    assert all(len(draw["dice_by_type"]) == 2 for draw in draws if "dice_type_mean" in draw)
    assert any(len(draw["dice_by_type"]) == 1 for draw in draws)


def test_a_figure_of_one_tile_is_named():
    assert set() == of_one_tile(outcomes_at(RESULTS[7:], POINT))
    one, two = drawn("c2", "Crack", 10, 3), drawn("c3", "Crack", 10, 3)
    assert {"dice_by_type.Crack", *OF_DEFECTIVE} == of_one_tile(outcomes_at([one, RESULTS[7]], POINT))
    assert set() == of_one_tile(outcomes_at([one, two, RESULTS[7]], POINT))
    empty = of_one_tile(outcomes_at([one, two, RESULTS[5]], POINT))  # an Uneven with an empty mask
    assert {"dice_by_type.Uneven", "dice_type_mean"} == empty


levels = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@unhurried
@given(probability=levels, threshold=st.integers(1, 255), alarm=st.floats(0, 1))
def test_a_mask_agrees_with_the_counts(probability, threshold, alarm):
    point = OperatingPoint(threshold, alarm)
    mask = point.mask(probability)
    result = result_of(a_prediction(np.ones(mask.shape, bool), probability))
    assert mask.sum() == outcomes_at([result], point).predicted.sum()


def test_the_type_of_an_image_is_that_of_most_predicted_pixels_and_of_none_without_any():
    prediction = a_prediction(np.zeros((1, 4), bool), np.array([[200, 128, 127, 255]]))
    prediction.defect_type[:] = [[3, 2, 5, 2]]
    types = result_of(prediction).types
    assert (2, 2) == (types[128], types[255])
    assert 2 == types[127]
    assert 0 == result_of(a_prediction(np.zeros((1, 4), bool), np.full((1, 4), 127))).types[128]
