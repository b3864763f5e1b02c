"""The evaluation: every figure of a small part known by hand, and the report's files as DVC reads them."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from training_data import a_prediction, a_sample, params_with, real_sample, write_project

from tiles.pictures import side_by_side
from training import evaluate
from training.checkpoint import save_model
from training.dataset import type_number
from training.deployed import DeployedSegmenter
from training.evaluate import Result, choose_threshold, image_rows, measure, write_report
from training.metrics import count, majority_type
from training.network import build_network
from training.plots import write_gallery
from training.predict import Prediction, predict

THRESHOLD = 128


def result_of(prediction):
    return Result(prediction, count(prediction), majority_type(prediction, THRESHOLD))


def drawn(image, kind, defect, found, *, missed=0, false=0, level=200):
    """A result whose tile has `defect` defect pixels, of which all but `missed` are found, and `false` others, too.

    Each found pixel has the probability `level` and the type `found`.
    """
    mask, probability = np.zeros(100, bool), np.zeros(100)
    mask[:defect] = True
    probability[: defect - missed] = level
    probability[100 - false :] = level
    shape = (10, 10)
    tile = f"tile of {image[:2]}"
    prediction = a_prediction(
        mask.reshape(shape), probability.reshape(shape), found=found, kind=kind, image=image, tile_id=tile
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
        # Five of the six score 200, before four of the five sound ones; the sixth ties with one of these, at 0.
        "auroc": 20.5 / 30,
        "free": {"images": 4, "any_pixel": 3, "over_20_px": 1, "any_pixel_share": 0.75, "over_20_px_share": 0.25},
    }
    actual = measure(RESULTS, THRESHOLD)
    assert {"average_precision"} == actual.keys() - expected.keys()
    for name, value in expected.items():
        assert actual[name] == pytest.approx(value), name


def test_images_of_one_tile_count_as_one_tile():
    names = [r.prediction.sample.entry.tile for r in RESULTS]
    assert len(set(names)) == measure(RESULTS, THRESHOLD)["tiles"]
    assert 2 == names.count("tile of c1")


def test_a_perfect_part_scores_1_in_everything_and_alarms_in_nothing():
    results = [drawn(str(i), kind, 10 * i, i) for i, kind in enumerate(evaluate.TYPES[:5], start=1)]
    figures = measure([*results, drawn("6", "Free", 0, 1)], THRESHOLD)
    for name in ("dice_pooled", "iou_pooled", "dice_pooled_with_free", "dice_image_mean", "dice_type_mean"):
        assert 1 == figures[name]
    assert (1, 1, 5, 1) == tuple(
        figures[n] for n in ("auroc", "average_precision", "found_images", "type_right_of_found")
    )
    assert 0 == figures["free"]["any_pixel"]


def test_an_images_row_holds_its_counts_and_what_was_found():
    rows = {row["image"]: row for row in image_rows(RESULTS, THRESHOLD)}
    assert {
        "image": "c1",
        "tile": "tile of c1",
        "type": "Crack",
        "found_type": "Break",
        "true_positive": 5,
        "false_positive": 0,
        "false_negative": 5,
        "dice": 0.6667,
        "score": 0.7843,
    } == rows["c1"]
    assert "" == rows["o1"]["found_type"]


def shifted(name, columns):
    """A sample tile whose defect is predicted so many columns beside its place, with the right type."""
    sample = real_sample(name)
    probability = np.roll(sample.mask, columns, axis=1).astype(np.uint8) * 255
    kinds = np.full(sample.mask.shape, max(1, type_number(sample.entry.type)), np.uint8)
    return result_of(Prediction(sample, probability, kinds))


@pytest.fixture(scope="module")
def sample_results():
    return [
        shifted("Blowhole/exp1_num_4944", 0),
        shifted("Blowhole/exp4_num_4995", 40),
        shifted("Break/exp1_num_241889", 3),
        shifted("Uneven/exp1_num_311809", 1),
        shifted("Free/exp1_num_11276", 0),
    ]


@pytest.fixture
def report(sample_results, tmp_path, monkeypatch):
    """The folder of a written report, one tile in each sheet of the gallery."""
    monkeypatch.chdir(tmp_path)
    figures = {"threshold": THRESHOLD, "test": {"dice_pooled": 0.5}}
    write_report(sample_results, figures, params_with(evaluate__gallery_tiles=1))
    return tmp_path / "evaluation"


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_holds_the_figures_and_a_row_for_each_image(report):
    assert {"threshold": 128, "test": {"dice_pooled": 0.5}} == json.loads((report / "metrics.json").read_text())
    rows = table(report / "images.csv")
    assert 5 == len(rows)
    assert ("exp1_num_4944", "Blowhole", "1.0") == tuple(rows[0][key] for key in ("image", "found_type", "dice"))


def test_the_precision_recall_table_has_a_row_for_each_threshold(report):
    rows = table(report / "plots/precision_recall.csv")
    assert ["threshold", "precision", "recall"] == list(rows[0])
    assert [str(threshold) for threshold in range(1, 256)] == [row["threshold"] for row in rows]


def test_the_confusion_table_has_the_actual_and_the_predicted_type_of_each_image(report):
    rows = table(report / "plots/confusion.csv")
    assert ["actual", "predicted"] == list(rows[0])
    assert [("Blowhole",) * 2, ("Blowhole",) * 2, ("Break",) * 2, ("Uneven",) * 2, ("Free",) * 2] == [
        (row["actual"], row["predicted"]) for row in rows
    ]


def test_the_gallery_shows_the_worst_the_median_and_the_best_defective_tile(report, sample_results):
    for name, place in {"worst": 1, "median": 2, "best": 0}.items():
        prediction = sample_results[place].prediction
        sample, found = prediction.sample, prediction.probability > 0
        dice = 2 * (sample.mask & found).sum() / (sample.mask.sum() + found.sum())
        captions = [sample.entry.image, f"truth: {sample.entry.type}", f"Dice {dice:.2f}"]
        picture = side_by_side(sample.tile, sample.mask, found, captions)
        with Image.open(report / f"plots/gallery/{name}.png") as sheet:
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(sheet))


def test_a_gallery_of_more_rows_than_tiles_shows_them_all(sample_results, tmp_path):
    predictions = [r.prediction for r in sample_results[:3]]
    write_gallery(predictions, THRESHOLD, 6, tmp_path / "gallery")
    heights = []
    for path in sorted((tmp_path / "gallery").iterdir()):
        with Image.open(path) as sheet:
            heights.append(sheet.height)
    assert 3 == len(heights)
    assert 1 == len(set(heights))
    assert heights[0] > sum(p.sample.tile.shape[0] for p in predictions)


class GreyIsDefect(nn.Module):
    """A network without memory: the brighter a pixel, the more likely a Crack."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(4.0))

    def forward(self, image):
        logits = torch.full((image.shape[0], 6, *image.shape[2:]), -20.0)
        logits[:, 0] = 0
        logits[:, 3] = self.slope * image[:, 0]
        return logits


GREYS = (np.arange(45 * 70).reshape(45, 70) % 256).astype(np.uint8)  # neither side a multiple of 32


def test_a_prediction_has_its_tiles_size_and_every_pixel_its_place():
    sample = a_sample(GREYS, GREYS > 200)
    (prediction,) = predict(DeployedSegmenter(GreyIsDefect()), [sample], description="test")
    logit = 4.0 * (GREYS / 255 - 0.485) / 0.229
    expected = np.round(255 / (1 + np.exp(-logit)))
    assert (np.uint8, GREYS.shape) == (prediction.probability.dtype, prediction.probability.shape)
    assert np.abs(expected - prediction.probability).max() <= 1
    assert {3} == set(prediction.type[prediction.probability > 0].tolist())


PARTS = {
    "train": ["Crack/exp1_num_339819", "Free/exp4_num_13589"],
    "validation": ["Blowhole/exp1_num_4944", "Free/exp1_num_13526"],
    "test": [
        "Blowhole/exp1_num_40410",
        "Break/exp1_num_241889",
        "Crack/exp2_num_116527",
        "Fray/exp1_num_331149",
        "Uneven/exp1_num_311809",
        "Free/exp1_num_11276",
    ],
}


def test_the_threshold_is_the_best_on_the_validation_part(tmp_path, monkeypatch):
    write_project(tmp_path, PARTS)
    monkeypatch.chdir(tmp_path)
    segmenter = DeployedSegmenter(GreyIsDefect())
    samples = [real_sample(name) for name in PARTS["validation"]]
    predictions = list(predict(segmenter, samples, description="validation"))
    truth = np.concatenate([p.sample.mask.ravel() for p in predictions])
    probability = np.concatenate([p.probability.ravel() for p in predictions])
    dices = {
        t: 2 * (truth & (probability >= t)).sum() / (truth.sum() + (probability >= t).sum()) for t in range(1, 256)
    }
    assert dices[choose_threshold(segmenter, params_with())] == max(dices.values())


@pytest.mark.parametrize(("method", "key"), [("by_tile", "test"), ("random", "test_leaky")])
def test_the_stage_measures_the_test_part_and_a_random_split_calls_it_leaky(tmp_path, monkeypatch, method, key):
    knobs = {"train__encoder_weights": None, "data_split__method": method, "evaluate__gallery_tiles": 2}
    write_project(tmp_path, PARTS, **knobs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate, "check_packages", dict)  # tested by itself
    params = params_with(**knobs)
    save_model(build_network(params.train), {"train": params.train.model_dump()})
    evaluate.main()
    figures = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    assert {"threshold", key} == figures.keys()
    assert (6, 5, 1) == (figures[key]["images"], figures[key]["defective_images"], figures[key]["free"]["images"])
    assert 1 <= figures["threshold"] <= 255
