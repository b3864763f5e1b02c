"""What another precision costs and gains is measured on the graphs themselves, and each limit refuses by name."""

import numpy as np
import onnx
import pytest
from tiny_graph import tiny_graph
from training_data import a_sample, params_with, real_sample, sample_names

from training.evaluation.figures import dice_pooled, outcomes_at
from training.evaluation.image_results import result_of
from training.graphs.acceptance import losses, measure_quality, refusals, speed_up
from training.graphs.session import open_session, predict_onnx

PARAMS = params_with(
    quantize__max_dice_loss=0.005, quantize__max_dice_loss_of_type=0.01, quantize__min_speed_up=1.5
).quantize
RATES = params_with(evaluate__false_alarm_rate=0.0).evaluate
NOTHING = {"all": 0.0, "Crack": 0.0}


def bright_spot(defect_type, name, *, grey=255, size=12):
    """A dark image with a bright square: the tiny graph's defect."""
    image, mask = np.full((64, 64), 10, np.uint8), np.zeros((64, 64), bool)
    mask[20 : 20 + size, 20 : 20 + size] = size > 0
    image[mask] = grey
    return a_sample(image, mask, defect_type=defect_type, name=name)


def parts(grey):
    """Two types of defect and a sound tile; those of the test part have this grey."""
    chosen = {"Crack": 255, "Break": 250}
    return {
        "validation": [bright_spot(name, f"v{name}", grey=g) for name, g in chosen.items()]
        + [bright_spot("Free", "v", size=0)],
        "test": [bright_spot(name, f"t{name}", grey=grey) for name in chosen] + [bright_spot("Free", "t", size=0)],
    }


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    for name, options in {"plain": {}, "deep": {"layers": 12}, "blind": {"slope": 0.0}}.items():
        onnx.save(tiny_graph(**options), folder / f"{name}.onnx")
    return folder


def test_quality_counts_both_parts_at_the_point_that_validation_chose(graphs):
    given = parts(grey=200)
    quality = measure_quality(graphs / "plain.onnx", given, RATES)
    samples = [sample for part in given.values() for sample in part if sample.mask.any()]
    predictions = predict_onnx(open_session(graphs / "plain.onnx"), samples, description="")
    assert dice_pooled(outcomes_at([result_of(p) for p in predictions], quality.chosen.point)) == quality.dice["all"]
    assert 0.5 < quality.dice["all"] < 1
    cracks = [result_of(p) for p in predictions if p.sample.entry.defect_type == "Crack"]
    assert dice_pooled(outcomes_at(cracks, quality.chosen.point)) == quality.dice["Crack"]
    assert {"all", "Crack", "Break"} == quality.dice.keys()


def test_figures_tell_each_part_and_the_operating_point(graphs):
    figures = measure_quality(graphs / "plain.onnx", parts(grey=200), RATES).figures()
    chosen = {"operating_point", "review_score", "tiles", "novelty_limit", "unfamiliar"}
    assert chosen | {"validation", "test"} == figures.keys()
    assert {"validation": 0, "test": 0} == figures["unfamiliar"]  # dark, too
    assert 1.0 == figures["test"]["auroc"]
    assert 0 == figures["test"]["free"]["any_pixel"]
    assert figures["validation"]["dice_pooled"] != figures["test"]["dice_pooled"]


def test_a_graph_that_sees_nothing_loses_all_dice(graphs):
    plain, blind = (measure_quality(graphs / f"{name}.onnx", parts(grey=200), RATES) for name in ("plain", "blind"))
    lost = losses(plain.dice, blind.dice)
    assert plain.dice == pytest.approx({name: lost[name] + blind.dice[name] for name in lost})
    assert 0.3 < lost["all"]


def test_a_graph_against_itself_loses_nothing_and_is_not_refused(graphs):
    quality = measure_quality(graphs / "plain.onnx", parts(grey=200), RATES)
    assert {"all": 0, "Crack": 0, "Break": 0} == losses(quality.dice, quality.dice)
    assert [] == refusals(losses(quality.dice, quality.dice), 2.0, PARAMS)


def test_a_deeper_graph_is_slower_by_as_much_as_a_shallow_one_is_faster(graphs):
    samples = [real_sample(sample_names("Free")[0])] * 6
    slow, fast = graphs / "deep.onnx", graphs / "plain.onnx"
    assert 1.5 < speed_up(slow, fast, samples)
    assert 1 / 1.5 > speed_up(fast, slow, samples)


@pytest.mark.parametrize(
    ("lost", "gained", "told"),
    [
        ({"all": 0.006}, 2.0, ["Dice of all falls by 0.0060; at most 0.005"]),
        ({"Crack": 0.011}, 2.0, ["Dice of Crack falls by 0.0110; at most 0.01"]),
        ({}, 1.4, ["it is only 1.40 times as fast; at least 1.5"]),
        ({"all": 0.1, "Crack": 0.2}, 1.0, ["Dice of all", "Dice of Crack", "it is only 1.00"]),
        ({"all": 0.005, "Crack": 0.01}, 1.5, []),
        ({"all": -0.1, "Crack": -0.2}, 1.5, []),
        ({}, None, []),
    ],
    ids=["all", "type", "speed", "everything", "at the limits", "better", "speed not told"],
)
def test_each_limit_refuses_by_name(lost, gained, told):
    reasons = refusals(NOTHING | lost, gained, PARAMS)
    assert len(told) == len(reasons), reasons
    assert all(reason.startswith(words) for words, reason in zip(told, reasons, strict=True))
