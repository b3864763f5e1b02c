"""The robustness of the served network: curves through the evaluation's own figures, and the stage as DVC runs it."""

import csv
import json

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from training_data import (
    ROOT,
    SMALL_NETWORK,
    GreyIsDefect,
    a_sample,
    few_draws,
    params_with,
    sample_names,
    shipped_knobs,
    write_project,
)

from tiles.operating_point import OperatingPoint
from training.errors import EvaluationError, TrainingError
from training.evaluation.figures import measure, outcomes_at
from training.evaluation.image_results import result_of
from training.evaluation.perturbations import PERTURBATIONS
from training.evaluation.predict import predict
from training.evaluation.robustness import choose_samples, curves, figures_of
from training.network.segmenter import build_network
from training.network.served import ServedSegmenter
from training.network.weights import save_model
from training.params import RobustnessParams
from training.reports.robustness import robustness_rows
from training.stages import evaluate, robustness

FEW = {
    "gamma": [2.0],
    "gain": [0.5, 1.0],
    "blur": [2.0],
    "jpeg_quality": [20, 60],
    "noise": [16.0],
    "rotation": [-10.0, 10.0],
}
LEVELS = RobustnessParams(**FEW)
POINT = OperatingPoint(threshold=128, alarm_score=0.0)
FIGURES = ["dice_pooled", "dice_type_mean", "found_share", "false_alarm_share"]
COLUMNS = ["change", "words", "level", *FIGURES, "dice_pooled_kept", "dice_type_mean_kept"]
PARTS = {
    "train": [sample_names(defect_type)[0] for defect_type in ("Crack", "Free")],
    "validation": [sample_names(defect_type)[1] for defect_type in ("Blowhole", "Free")],
    "test": [sample_names(defect_type)[2] for defect_type in ("Blowhole", "Break", "Crack", "Free")],
}


def bright_defect(defect_type="Crack", name="1", tile=""):
    """An image of random dark greys whose defect is bright, so that GreyIsDefect finds it."""
    mask = np.zeros((70, 100), bool)
    mask[20:40, 30:60] = True
    greys = np.random.default_rng(0).integers(0, 110, mask.shape)
    return a_sample(np.where(mask, 200, greys).astype(np.uint8), mask, defect_type=defect_type, name=name, tile=tile)


def free(name, tile):
    return a_sample(np.full((40, 50), 90, np.uint8), np.zeros((40, 50), bool), name=name, tile=tile)


@pytest.fixture(scope="module")
def samples():
    return [bright_defect("Crack", "1"), bright_defect("Break", "2"), free("3", "3"), free("4", "4")]


@pytest.fixture(scope="module")
def segmenter():
    return ServedSegmenter(GreyIsDefect())


@pytest.fixture(scope="module")
def found(segmenter, samples):
    return curves(segmenter, samples, POINT, LEVELS)


def test_the_neutral_level_of_each_curve_has_the_evaluations_own_figures(segmenter, samples, found):
    expected = measure(outcomes_at([result_of(p) for p in predict(segmenter, samples, description="test")], POINT))
    assert 1.0 == expected["dice_pooled"]
    for name, rows in found.items():
        (row,) = [row for row in rows if row["level"] == PERTURBATIONS[name].neutral]
        assert {name: expected[name] for name in ("dice_pooled", "dice_type_mean")}.items() <= row.items()
        assert (expected["found_images"] / expected["defective_images"], 0.0) == (
            row["found_share"],
            row["false_alarm_share"],
        )


def test_a_curve_has_a_row_for_each_level_in_order_and_one_for_the_unchanged_images(found):
    assert list(PERTURBATIONS) == list(found) == list(RobustnessParams.model_fields)
    for name, rows in found.items():
        assert sorted({*FEW[name], PERTURBATIONS[name].neutral}) == [row["level"] for row in rows]
        assert [(name, COLUMNS)] * len(rows) == [(row["change"], list(row)) for row in rows]


def test_a_perturbation_that_hides_the_defect_lowers_its_curve_and_one_that_turns_the_truth_alike_does_not(found):
    dice = {name: {row["level"]: row["dice_pooled"] for row in rows} for name, rows in found.items()}
    assert 0 == dice["gain"][0.5]  # no pixel is bright any more
    assert 0 < dice["noise"][16.0] < 1
    assert dice["rotation"][10.0] > 0.97


def test_the_share_that_is_kept_is_of_the_unchanged_images_figure(segmenter, samples):
    point = OperatingPoint(threshold=254, alarm_score=0.0)  # so high that even the unchanged images lose pixels
    for name, rows in curves(segmenter, samples, point, LEVELS).items():
        (unchanged,) = [row for row in rows if row["level"] == PERTURBATIONS[name].neutral]
        for row in rows:
            assert row["dice_pooled_kept"] == pytest.approx(
                row["dice_pooled"] / (unchanged["dice_pooled"] or 1), abs=1e-4
            )


def test_the_same_images_have_the_same_curves(segmenter, samples, found):
    assert found == curves(segmenter, samples, POINT, LEVELS)


def test_alarms_are_counted_on_the_free_images(segmenter, samples):
    brighter = [PERTURBATIONS["gain"].apply(sample, 2.0) for sample in samples]
    assert 1.0 == figures_of(segmenter, brighter, POINT, "brighter")["false_alarm_share"]


def test_without_a_sound_image_there_is_no_share_of_false_alarms(segmenter, samples):
    written = {
        name: [{column: str(value) for column, value in row.items()} for row in rows]
        for name, rows in curves(segmenter, samples[:2], POINT, LEVELS).items()
    }
    assert {"–"} == {figures[-1] for figures in robustness_rows(written)}


def test_all_images_of_defect_folders_are_measured_and_the_first_of_each_tile_without_any():
    empty = a_sample(np.zeros((8, 8), np.uint8), np.zeros((8, 8), bool), defect_type="Uneven", name="d", tile="9")
    part = [
        free("a", "7"),
        free("b", "8"),
        free("c", "7"),
        empty,
        bright_defect(name="e", tile="8"),
        free("f", "6"),
    ]
    assert ["d", "e", "a", "f"] == [sample.entry.name for sample in choose_samples(part)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which the stages evaluate and robustness have run, with random weights."""
    folder = tmp_path_factory.mktemp("project")
    knobs = {**SMALL_NETWORK, "train__encoder_weights": None, "evaluate__robustness": FEW}
    write_project(folder, PARTS, **knobs)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        few_draws(patch)
        for stage in (evaluate, robustness):
            patch.setattr(stage, "check_packages", dict)  # tested by itself
        params = params_with(**knobs)
        torch.manual_seed(0)
        save_model(build_network(params.train), {"train": params.train.model_dump()})
        evaluate.main()
        robustness.main()
    return folder


def test_the_stage_writes_a_table_for_each_perturbation_through_the_figures_of_the_evaluation(project):
    test = json.loads((project / "evaluation/metrics.json").read_text())["test"]
    tables = {path.stem: path for path in (project / "evaluation/plots/robustness").iterdir()}
    assert PERTURBATIONS.keys() == tables.keys()
    for name, path in tables.items():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert COLUMNS == list(rows[0])
        (row,) = [row for row in rows if float(row["level"]) == PERTURBATIONS[name].neutral]
        expected = (test["dice_pooled"], test["dice_type_mean"], test["free"]["any_pixel_share"])
        columns = ("dice_pooled", "dice_type_mean", "false_alarm_share")
        assert expected == pytest.approx([float(row[column]) for column in columns], abs=1e-5)
    assert [] == list((project / "evaluation/plots").glob("*.new"))


@pytest.mark.parametrize(
    ("missing", "error", "command"),
    [
        ("evaluation/metrics.json", EvaluationError, "dvc repro evaluate"),
        ("models/segmenter.safetensors", TrainingError, "dvc repro train"),
    ],
)
def test_a_missing_input_names_the_command_that_makes_it(project, monkeypatch, missing, error, command):
    monkeypatch.chdir(project)
    monkeypatch.setattr(robustness, "check_packages", dict)
    path = project / missing
    away = path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(error, match=rf"{missing} is missing: run `{command}`"):
            robustness.main()
    finally:
        away.rename(path)


def test_other_levels_rerun_the_robustness_and_not_the_evaluation():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    knobs = shipped_knobs()["evaluate"]
    assert {f"evaluate.{knob}" for knob in knobs if knob != "robustness"} == {
        knob for knob in stages["evaluate"]["params"] if knob.startswith("evaluate")
    }
    assert ["evaluate.robustness"] == stages["robustness"]["params"]
