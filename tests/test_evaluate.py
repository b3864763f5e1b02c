"""The evaluation: every figure of a small part known by hand, and the report's files as DVC reads them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from training_data import (
    SMALL_NETWORK,
    GreyIsDefect,
    a_sample,
    few_draws,
    params_with,
    real_sample,
    write_project,
)

from tiles.operating_point import OperatingPoint
from training.errors import EvaluationError
from training.evaluation.figures import measure, outcomes_at
from training.evaluation.gallery import write_gallery
from training.evaluation.image_results import THRESHOLDS, read_results, result_of
from training.evaluation.operating_point import Chosen, Limits
from training.evaluation.outputs import read_metrics, write_outputs
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


@pytest.fixture(scope="module")
def report(sample_predictions, tmp_path_factory):
    """The folder of a written report, with one tile on each sheet of the gallery. The last two images validate."""
    folder = tmp_path_factory.mktemp("report")
    results = [result_of(prediction) for prediction in sample_predictions]
    parts = {"validation": results[3:], "test": results}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        few_draws(patch)
        chosen = Chosen(POINT, None, Limits(0.5, 0.25))
        write_outputs(parts, sample_predictions, chosen, params_with(evaluate__gallery_images=1))
    return folder / "evaluation"


def table(path, part=None):
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if part in (None, row.get("part"))]


def test_a_report_holds_the_figures_and_a_row_for_each_image(report, sample_predictions):
    results = [result_of(prediction) for prediction in sample_predictions]
    parts = {part: measure(outcomes_at(each, POINT)) for part, each in (("validation", results[3:]), ("test", results))}
    all_defect = {"review_share": 0.0, "defective_share_of_ok": 0.0}
    expected = {part: figures | all_defect for part, figures in parts.items()}
    expected |= {"operating_point": {"threshold": 128, "alarm_score": 0.0}, "review_score": None}
    found = json.loads((report / "metrics.json").read_text())
    tiles = found.pop("tiles")
    assert expected == found
    assert "validation" == next(iter(found))  # the first columns of `dvc exp show`
    assert (0.5, 4, 4, 1, 0) == (
        tiles["alarm_score"],
        *(tiles["test"][name] for name in ("defective_tiles", "found_tiles", "sound_tiles", "false_alarms")),
    )
    assert {"found_share", "auroc"} == tiles["test"]["interval"].keys()  # one tile alone has no defect
    rows = table(report / "images.csv")
    assert 5 == len(rows)
    assert ("exp1_num_262480", "Blowhole", "1.0") == tuple(rows[0][key] for key in ("image", "found_type", "dice"))


def test_the_precision_recall_table_has_a_row_for_each_threshold(report):
    rows = table(report / "plots/precision_recall.csv", "test")
    assert [str(threshold) for threshold in range(1, 256)] == [row["threshold"] for row in rows]
    assert ["128"] == [row["threshold"] for row in rows if row["chosen"] == "1"]


def test_the_table_of_scores_has_the_defective_and_the_free_images_with_the_alarm_score(report, sample_predictions):
    rows = table(report / "plots/scores.csv", "test")
    expected = [(p.sample.entry.name, str(int(p.sample.mask.any())), "0.0") for p in sample_predictions]
    assert expected == [(row["image"], row["defective"], row["alarm_score"]) for row in rows]
    assert ["1.0"] * 4 + ["0.0"] == [row["score"] for row in rows]
    assert [row["image"] for row in rows[3:]] == [
        row["image"] for row in table(report / "plots/scores.csv", "validation")
    ]


def test_the_table_of_detection_has_both_shares_at_each_alarm_score(report):
    rows = table(report / "plots/detection.csv", "test")
    found = {of: [tuple(row.values())[2:] for row in rows if row["of"] == of] for of in ("photograph", "tile")}
    assert [("1.0001", "0.0", "0.0", "0"), ("1.0", "0.0", "1.0", "0"), ("0.0", "1.0", "1.0", "1")] == found[
        "photograph"
    ]
    assert ("0.5", "0.0", "1.0", "1") in found["tile"]


def test_the_table_of_dice_has_the_types_with_intervals_where_there_are_several_tiles(report):
    figures = json.loads((report / "metrics.json").read_text())["test"]
    rows = {row["type"]: row for row in table(report / "plots/dice_by_type.csv", "test")}
    expected = {
        "all, pooled": figures["dice_pooled"],
        "mean of types": figures["dice_type_mean"],
        **figures["dice_by_type"],
    }
    assert expected == pytest.approx({name: float(row["dice"]) for name, row in rows.items()}, abs=1e-5)
    assert ("1", "", "") == tuple(rows["Break"][key] for key in ("tiles", "low", "high"))
    assert ("", "") == tuple(rows["mean of types"][key] for key in ("low", "high"))  # as one type has a single tile
    assert float(rows["Blowhole"]["low"]) <= float(rows["Blowhole"]["dice"]) <= float(rows["Blowhole"]["high"])


def test_the_reliability_table_has_the_share_of_defective_pixels_at_each_probability(report, sample_predictions):
    rows = table(report / "plots/reliability.csv", "test")
    assert ["0.0", "1.0"] == [row["probability"] for row in rows]  # the test's predictions know nothing between
    truth = np.concatenate([prediction.sample.mask.ravel() for prediction in sample_predictions])
    found = np.concatenate([prediction.probability.ravel() for prediction in sample_predictions]) > 0
    for row, chosen in zip(rows, (~found, found), strict=True):
        assert chosen.sum() == int(row["pixels"])
        assert truth[chosen].mean() == pytest.approx(float(row["defective"]), abs=0.0001)


def test_the_confusion_table_has_every_pair_of_types_also_those_that_never_occur(report):
    rows = table(report / "plots/confusion.csv", "test")
    assert 36 == len(rows)
    counts = {(row["actual"], row["predicted"]): (int(row["images"]), float(row["share"])) for row in rows}
    assert (2, 1.0) == counts["Blowhole", "Blowhole"]
    assert (0, 0.0) == counts["Fray", "Fray"] == counts["Blowhole", "Free"]
    assert 5 == sum(images for images, _ in counts.values())


def wide(name, tile, columns):
    """A prediction of an image of 900 columns, so many beside the truth that its Dice is 1 - columns / 10."""
    mask = np.zeros((60, 900), bool)
    mask[10:20, 100:110] = True
    sample = a_sample(np.full(mask.shape, 90, np.uint8), mask, defect_type="Crack", name=name, tile=tile)
    return Prediction(sample, np.roll(mask, columns, axis=1).astype(np.uint8) * 255, np.full(mask.shape, 3, np.uint8))


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The captions of each sheet: three tiles with three photographs each, two rows."""
    photographs = [wide(f"{tile}{n}", tile, columns) for tile, dice in TILES.items() for n, columns in enumerate(dice)]
    pairs = sorted((1 - columns / 10, n) for n, columns in enumerate(c for dice in TILES.values() for c in dice))
    captions = []

    def a_row(prediction, *_):
        captions.append(prediction.sample.entry.name)
        return Image.new("RGB", (10, 10))

    monkeypatch.setattr("training.evaluation.gallery._picture", a_row)
    write_gallery([(photographs[n], dice) for dice, n in pairs], POINT, 2, tmp_path / "gallery")
    return [captions[:2], captions[2:4], captions[4:]]


TILES = {"a": (10, 9, 8), "b": (7, 5, 1), "c": (3, 2, 0)}


def test_a_tile_has_one_row_of_a_sheet_with_its_worst_median_or_best_photograph(drawn):
    assert [["a0", "b0"], ["a1", "b1"], ["c2", "b2"]] == drawn


def test_a_sheet_is_never_wider_than_1200_pixels(tmp_path):
    write_gallery([(wide("1", "1", 3), 0.7)], POINT, 6, tmp_path / "gallery")
    for path in (tmp_path / "gallery").iterdir():
        with Image.open(path) as sheet:
            assert 1200 == sheet.width
            assert FOUND_SHADE in {colour for _, colour in sheet.getcolors(1 << 20)}


FOUND_SHADE = (181, 106, 40)  # OPACITY of FOUND over grey 90


def test_a_gallery_of_more_rows_than_images_shows_them_all(sample_predictions, tmp_path):
    predictions = sample_predictions[:3]
    write_gallery([(p, 0.5) for p in predictions], POINT, 6, tmp_path / "gallery")
    heights = []
    for path in sorted((tmp_path / "gallery").iterdir()):
        with Image.open(path) as sheet:
            heights.append(sheet.height)
    assert 3 == len(heights)
    assert 1 == len(set(heights))
    assert heights[0] > sum(min(320, p.sample.image.shape[0]) for p in predictions)


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
    knobs |= SMALL_NETWORK
    write_project(tmp_path, PARTS, **knobs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "check_packages", dict)  # tested by itself
    few_draws(monkeypatch)
    params = params_with(**knobs)
    save_model(build_network(params.train), {"train": params.train.model_dump()})
    evaluate.main()
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    assert ["validation", key, "operating_point", "review_score", "tiles"] == list(figures)
    assert ["alarm_score", "review_score", "validation", key] == list(figures["tiles"])
    assert (6, 5, 1) == (figures[key]["images"], figures[key]["defective_images"], figures[key]["free"]["images"])
    assert figures["operating_point"]["threshold"] in THRESHOLDS
    point = OperatingPoint(**figures["operating_point"])
    measured = measure(outcomes_at(read_results(tmp_path / "evaluation/results_test.csv"), point))
    assert measured.items() <= figures[key].items()


def test_figures_that_are_not_there_name_the_command_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EvaluationError, match=r"metrics\.json is missing: run `dvc repro evaluate`, or `git checkout`"):
        read_metrics()
