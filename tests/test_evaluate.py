"""The evaluation: every figure of a small part known by hand, and the report's files as DVC reads them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from training_data import GreyIsDefect, a_sample, params_with, real_sample, write_project

from tiles.operating_point import OperatingPoint
from tiles.pictures import side_by_side
from training.errors import EvaluationError
from training.evaluation.figures import measure, outcomes_at
from training.evaluation.image_results import THRESHOLDS, read_results, result_of
from training.evaluation.outputs import read_metrics, write_outputs
from training.evaluation.plots import write_gallery
from training.evaluation.predict import Prediction, predict
from training.network.segmenter import build_network
from training.network.served import ServedSegmenter
from training.network.weights import save_model
from training.stages import evaluate

POINT = OperatingPoint(threshold=128, alarm_score=0.0)


def shifted(name, columns):
    """A sample image whose defect is predicted so many columns beside its place, with the right type."""
    sample = real_sample(name)
    probability = np.roll(sample.mask, columns, axis=1).astype(np.uint8) * 255
    types = np.full(sample.mask.shape, max(1, sample.type_number), np.uint8)
    return Prediction(sample, probability, types)


@pytest.fixture(scope="module")
def sample_predictions():
    return [
        shifted("Blowhole/exp1_num_262480", 0),
        shifted("Blowhole/exp4_num_262626", 40),
        shifted("Break/exp1_num_271361", 3),
        shifted("Uneven/exp1_num_109232", 1),
        shifted("Free/exp1_num_10903", 0),
    ]


@pytest.fixture
def report(sample_predictions, tmp_path, monkeypatch):
    """The folder of a written report, one image in each sheet of the gallery."""
    monkeypatch.chdir(tmp_path)
    results = [result_of(prediction) for prediction in sample_predictions]
    write_outputs(sample_predictions, results, POINT, 0.5, params_with(evaluate__gallery_images=1))
    return tmp_path / "evaluation"


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_holds_the_figures_and_a_row_for_each_image(report, sample_predictions):
    figures = measure(outcomes_at([result_of(prediction) for prediction in sample_predictions], POINT))
    expected = {"operating_point": {"threshold": 128, "alarm_score": 0.0}, "test": figures}
    found = json.loads((report / "metrics.json").read_text())
    tiles = found.pop("tiles")
    assert expected == found
    assert (0.5, 4, 4, 1, 0) == (
        tiles["alarm_score"],
        *(tiles["test"][name] for name in ("defective_tiles", "found_tiles", "sound_tiles", "false_alarms")),
    )
    rows = table(report / "images.csv")
    assert 5 == len(rows)
    assert ("exp1_num_262480", "Blowhole", "1.0") == tuple(rows[0][key] for key in ("image", "found_type", "dice"))


def test_the_precision_recall_table_has_a_row_for_each_threshold(report):
    rows = table(report / "plots/precision_recall.csv")
    assert ["threshold", "precision", "recall"] == list(rows[0])
    assert [str(threshold) for threshold in range(1, 256)] == [row["threshold"] for row in rows]


def test_the_reliability_table_has_the_share_of_defective_pixels_at_each_probability(report, sample_predictions):
    rows = table(report / "plots/reliability.csv")
    assert ["probability", "defective", "pixels"] == list(rows[0])
    assert ["0.0", "1.0"] == [row["probability"] for row in rows]  # the test's predictions know nothing between
    truth = np.concatenate([prediction.sample.mask.ravel() for prediction in sample_predictions])
    found = np.concatenate([prediction.probability.ravel() for prediction in sample_predictions]) > 0
    for row, chosen in zip(rows, (~found, found), strict=True):
        assert chosen.sum() == int(row["pixels"])
        assert truth[chosen].mean() == pytest.approx(float(row["defective"]), abs=0.0001)


def test_the_confusion_table_has_the_actual_and_the_predicted_type_of_each_image(report):
    rows = table(report / "plots/confusion.csv")
    assert ["actual", "predicted"] == list(rows[0])
    assert [("Blowhole",) * 2, ("Blowhole",) * 2, ("Break",) * 2, ("Uneven",) * 2, ("Free",) * 2] == [
        (row["actual"], row["predicted"]) for row in rows
    ]


def test_the_gallery_shows_the_worst_the_median_and_the_best_defective_image(report, sample_predictions):
    for name, place in {"worst": 1, "median": 2, "best": 0}.items():
        prediction = sample_predictions[place]
        sample, found = prediction.sample, prediction.probability > 0
        dice = 2 * (sample.mask & found).sum() / (sample.mask.sum() + found.sum())
        captions = [sample.entry.name, f"truth: {sample.entry.defect_type}", f"Dice {dice:.2f}"]
        picture = side_by_side(sample.image, sample.mask, found, captions)
        with Image.open(report / f"plots/gallery/{name}.png") as sheet:
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(sheet))


def test_a_gallery_of_more_rows_than_images_shows_them_all(sample_predictions, tmp_path):
    predictions = sample_predictions[:3]
    write_gallery([(p, 0.5) for p in predictions], POINT, 6, tmp_path / "gallery")
    heights = []
    for path in sorted((tmp_path / "gallery").iterdir()):
        with Image.open(path) as sheet:
            heights.append(sheet.height)
    assert 3 == len(heights)
    assert 1 == len(set(heights))
    assert heights[0] > sum(p.sample.image.shape[0] for p in predictions)


GREYS = (np.arange(45 * 70).reshape(45, 70) % 256).astype(np.uint8)  # neither side a multiple of 32


def test_a_prediction_has_its_images_size_and_every_pixel_its_place():
    sample = a_sample(GREYS, GREYS > 200)
    (prediction,) = predict(ServedSegmenter(GreyIsDefect()), [sample], description="test")
    logit = 4.0 * (GREYS / 255 - 0.5) / 0.5
    expected = np.round(255 / (1 + np.exp(-logit)))
    assert (np.uint8, GREYS.shape) == (prediction.probability.dtype, prediction.probability.shape)
    assert np.abs(expected - prediction.probability).max() <= 1
    assert {3} == set(prediction.defect_type[prediction.probability > 0].tolist())


PARTS = {
    "train": ["Crack/exp1_num_342140", "Free/exp4_num_10957"],
    "validation": ["Blowhole/exp1_num_262480", "Free/exp1_num_13526"],
    "test": [
        "Blowhole/exp1_num_317483",
        "Break/exp1_num_271361",
        "Crack/exp1_num_3191",
        "Fray/exp1_num_331149",
        "Uneven/exp1_num_109232",
        "Free/exp1_num_10903",
    ],
}


@pytest.mark.parametrize(("method", "key"), [("by_tile", "test"), ("random", "test_leaky")])
def test_the_stage_measures_the_test_part_and_a_random_split_calls_it_leaky(tmp_path, monkeypatch, method, key):
    knobs = {"train__encoder_weights": None, "data_split__method": method, "evaluate__gallery_images": 2}
    write_project(tmp_path, PARTS, **knobs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "check_packages", dict)  # tested by itself
    params = params_with(**knobs)
    save_model(build_network(params.train), {"train": params.train.model_dump()})
    evaluate.main()
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    assert {"operating_point", key, "tiles"} == figures.keys()
    assert {"alarm_score", key} == figures["tiles"].keys()
    assert (6, 5, 1) == (figures[key]["images"], figures[key]["defective_images"], figures[key]["free"]["images"])
    assert figures["operating_point"]["threshold"] in THRESHOLDS
    point = OperatingPoint(**figures["operating_point"])
    assert figures[key] == measure(outcomes_at(read_results(tmp_path / "evaluation/results_test.csv"), point))


def test_figures_that_are_not_there_name_the_command_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EvaluationError, match=r"metrics\.json is missing: run `dvc repro evaluate`, or `git checkout`"):
        read_metrics()
