"""One verdict per tile: the rule and its figures, on cases that are counted by hand."""

import json
from itertools import permutations

import numpy as np
import pytest
from training_data import ROOT, params_with

from tiles.operating_point import tile_score
from training.evaluation.counts import LEVELS, Counts
from training.evaluation.figures import Outcomes
from training.evaluation.image_results import Result
from training.evaluation.operating_point import Limits, choose, choose_limits, sound_tile_scores
from training.evaluation.tile_figures import TileOutcomes, join_tiles, judge_tiles, measure_tiles, tile_intervals
from training.graphs.signature import parse_config
from training.reports.card import tile_rows

IMAGES = [  # tile, type, pixels of the true defect, score
    ("a", "Crack", 10, 0.9),
    ("a", "Free", 0, 0.5),  # of a tile with a defect
    ("b", "Free", 0, 0.2),
    ("b", "Free", 0, 0.3),
    ("c", "Uneven", 0, 1.0),  # filed under a type, but its mask is empty
    ("d", "Blowhole", 5, 0.1),
    ("e", "Free", 0, 0.8),
]


def outcomes() -> Outcomes:
    tiles, types, pixels, scores = (np.array(column) for column in zip(*IMAGES, strict=True))
    nothing = np.zeros(len(IMAGES), int)
    return Outcomes(np.arange(len(IMAGES)), tiles, types, pixels, nothing, nothing, nothing, scores)


def result(tile: str, defect_type: str, score: float) -> Result:
    empty = np.zeros(LEVELS, int)
    return Result(f"{tile}-{score}", tile, defect_type, Counts(empty, empty), empty, score)


def test_a_tiles_score_is_the_mean_of_its_images_in_any_order():
    assert {0.4333} == {tile_score(scores) for scores in permutations([0.1, 0.2, 1.0])}


def rates(false_alarm_rate, review_rate=None):
    return params_with(evaluate__false_alarm_rate=false_alarm_rate, evaluate__review_rate=review_rate).evaluate


def test_the_limits_of_tiles_are_the_lowest_within_the_rates_of_tiles_without_a_defect():
    scores = [result(f"t{n}", "Free", score) for n in range(10) for score in (n / 10, n / 10 + 0.02)]
    defective = [result("x", "Crack", 1.0), result("x", "Free", 1.0)]  # a Free image of it counts nothing
    sound = sound_tile_scores([*scores, *defective])
    assert Limits(0.8101, None) == choose_limits(sound, rates(0.1))
    assert Limits(0.9101, 0.7101) == choose_limits(sound, rates(0.09, 0.2))
    assert Limits(0.8101, None) == choose_limits(sound, rates(0.1, 0.1))  # no score is between equal limits


def test_tiles_with_a_defect_and_tiles_with_free_images_only_are_counted():
    assert {
        "defective_tiles": 2,
        "found_tiles": 1,
        "found_share": 0.5,
        "sound_tiles": 2,
        "false_alarms": 1,
        "false_alarm_share": 0.5,
        "auroc": 0.25,  # of a 0.7 and d 0.1 against b 0.25 and e 0.8
    } == measure_tiles(judge_tiles(outcomes(), 0.7))


def test_joined_folds_keep_their_own_alarms():
    joined = join_tiles([judge_tiles(outcomes(), 0.0), judge_tiles(outcomes(), 1.0)])
    figures = measure_tiles(joined)
    assert (4, 2, 4, 2) == tuple(
        figures[name] for name in ("defective_tiles", "found_tiles", "sound_tiles", "false_alarms")
    )


def test_an_interval_holds_its_figure_and_is_wide_with_few_tiles():
    tiles = judge_tiles(outcomes(), 0.7)
    low, high = tile_intervals(tiles, samples=200, seed=1)["found_share"]
    assert (0, 1) == (low, high)


def test_a_share_of_no_tiles_is_no_figure_and_counts_in_no_interval():
    images = outcomes()
    sound = judge_tiles(images.take(~np.isin(images.tile, images.tile[images.defective])), 0.7)
    assert "found_share" not in measure_tiles(sound)
    assert {"sound_tiles", "false_alarm_share"} <= measure_tiles(sound).keys()
    one_found = TileOutcomes(np.array([0.9, *[0.1] * 9]), np.arange(10) < 1, np.arange(10) < 1)
    assert (1, 1) == tile_intervals(one_found, samples=200, seed=1)["found_share"]


def test_where_every_tile_has_a_defect_tiles_are_judged_by_the_limits_of_images():
    results = [result(f"t{n}", kind, score) for n in range(5) for kind, score in (("Crack", 0.9), ("Free", n / 10))]
    chosen = choose(results, rates(0.2, 0.4))
    assert chosen.of_images == chosen.of_tiles
    assert 0.3001 == chosen.of_tiles.alarm_score


def test_the_card_shows_shares_with_intervals_and_counts_without():
    figures = json.loads((ROOT / "evaluation/metrics.json").read_text())["tiles"]["test"]
    rows = dict(tile_rows(figures))
    assert str(figures["sound_tiles"]) == rows["tiles without a defect"]
    low, high = figures["interval"]["auroc"]["low"], figures["interval"]["auroc"]["high"]
    assert f"{figures['auroc']:.3f} ({low:.3f}–{high:.3f})" == rows["defective or not, AUROC"]


@pytest.mark.parametrize(
    ("graph", "config"), [("cpu", "config.pbtxt"), ("gpu", "configs/gpu.pbtxt"), ("gpu", "configs/tensorrt.pbtxt")]
)
def test_the_published_models_carry_the_limits_of_their_precision(graph, config):
    found = json.loads((ROOT / "export/precisions.json").read_text())
    told = parse_config((ROOT / "model_repository/segmenter" / config).read_text()).parameters
    expected = found[found["served"][graph]]
    limits = {
        "model.alarm_score": expected["operating_point"]["alarm_score"],
        "model.review_score": expected["review_score"],
        "model.tile_alarm_score": expected["tiles"]["alarm_score"],
        "model.tile_review_score": expected["tiles"]["review_score"],
        "model.novelty_limit": expected["novelty_limit"],
    }
    assert {name: str(limit) for name, limit in limits.items()} == {name: told[name].string_value for name in limits}
