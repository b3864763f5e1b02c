"""How far an image lies from the training tiles: the measure by hand, its figures, and the published graph."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from training_data import ROOT, params_with, real_sample, sample_names

from tiles import decode_image
from training.errors import TrainingError
from training.evaluation.novelty import fit_novelty, novelty_limit, total
from training.evaluation.other_images import CHANGED, other_images
from training.graphs.session import open_session, predict_onnx
from training.graphs.signature import parse_config
from training.network.novelty import FARTHEST, Novelty, describe, with_constants
from training.network.segmenter import build_network
from training.network.served import ServedModel, ServedSegmenter, normalise
from training.reports.figure_words import OTHER_IMAGES
from training.reports.novelty import novelty_rows

SHIPPED = json.loads((ROOT / "evaluation/novelty.json").read_text())
ALL_FOLDS = json.loads((ROOT / "studies/tables/metrics.json").read_text())["honest"]["novelty"]["all"]
MEASURED = pytest.mark.parametrize("figures", [SHIPPED, ALL_FOLDS], ids=["shipped", "all folds"])
CAUGHT = {
    0.98: ("noise", "flat", "text", "screenshots", "textures", "photographs", "turned", "blurred"),
    0.8: ("half_size", "double_size", "negative", "overexposed", "underexposed"),
}


def one_axis() -> Novelty:
    """Two dimensions: along the first a spread of 2, across it one of a half."""
    constants = {"mean": [1.0, 1.0], "scale": [1.0, 1.0], "axes": [[1.0], [0.0]], "spread": [2.0]}
    tensors = {name: torch.tensor(values) for name, values in constants.items()}
    return with_constants(tensors | {"residual_spread": torch.tensor([0.5])})


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ([1.0, 1.0], 0),
        ([5.0, 1.0], 2),  # 4 along the axis, of a spread of 2
        ([1.0, 2.0], 2**0.5),  # 1 across it, of a spread of a half: the mean square of 0 and 2
        ([5.0, 2.0], 6**0.5),
        ([1e9, 1.0], FARTHEST / 2),
    ],
)
def test_the_novelty_is_the_distance_along_and_across_the_axes(description, expected):
    assert expected == pytest.approx(float(one_axis()(torch.tensor([description]))))


def test_constants_of_another_module_are_refused():
    with pytest.raises(TrainingError, match="no constants of the novelty"):
        with_constants({"mean": torch.zeros(2)})


def test_an_image_is_described_by_mean_and_spread_of_its_features_and_by_its_size():
    image = torch.zeros(2, 1, 64, 96)
    features = [image, image, torch.full((2, 1, 2, 2), 3.0), torch.tensor([[[[1.0, 5.0]]]] * 2)]
    expected = [3, 0, 3, 2, np.log(64), np.log(96)]
    for found in describe(image, features):
        assert expected == pytest.approx(found.tolist())


def test_a_fitted_novelty_is_small_where_the_training_images_are_and_large_elsewhere():
    drawn = torch.Generator().manual_seed(0)
    training = torch.randn(500, 130, generator=drawn) * torch.linspace(0.1, 5, 130) + 7
    novelty = fit_novelty(training)
    assert 2**0.5 == pytest.approx(float(novelty(training).square().mean().sqrt()), rel=0.02)
    assert (novelty(training + 5 * training.std(dim=0)) > novelty(training).max()).all()


def test_a_novelty_is_fitted_to_two_images_too():
    novelty = fit_novelty(torch.tensor([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]]))
    assert torch.isfinite(novelty(torch.tensor([[0.0, 1.5, 3.0], [9.0, 9.0, 9.0]]))).all()


def test_the_limit_leaves_199_of_200_validation_images_familiar():
    assert 199.0 == novelty_limit([float(value) for value in range(200, 0, -1)])
    assert 0.1235 == novelty_limit([0.12341])


def test_other_images_are_the_same_in_every_run_and_at_least_300(monkeypatch):
    monkeypatch.setattr("training.evaluation.other_images.EACH", 8)
    tiles = [real_sample(name).image for name in sample_names("Free")]
    found, again = other_images(tiles), other_images(tiles)
    assert OTHER_IMAGES.keys() == found.keys()
    assert all((one == other).all() for kind in found for one, other in zip(found[kind], again[kind], strict=True))
    assert {np.dtype(np.uint8)} == {image.dtype for images in found.values() for image in images}
    assert {8} == {len(found[kind]) for kind in ("noise", "flat", "text", "screenshots", "textures", "photographs")}
    assert 300 <= sum(counts["images"] for counts in SHIPPED["others"].values())


@pytest.mark.parametrize("count", [1, 5, 8])
def test_of_few_test_images_each_is_changed_once(monkeypatch, count):
    monkeypatch.setattr("training.evaluation.other_images.EACH", 8)
    found = other_images([np.full((8, 8), grey, np.uint8) for grey in range(count)])
    assert list(range(count)) == [255 - image[0, 0] for image in found["negative"]]


def test_half_of_an_overexposed_tile_is_white_and_an_underexposed_one_has_a_mean_of_20():
    tile = real_sample(sample_names("Free")[0]).image
    over, under = (CHANGED[name](0, tile) for name in ("overexposed", "underexposed"))
    assert 0.5 <= (over == 255).mean() <= 0.6
    assert 20 == pytest.approx(under.mean(), abs=0.5)


def test_the_novelty_was_measured_on_every_photograph():
    assert 1344 == ALL_FOLDS["test"]["images"]


@MEASURED
def test_of_the_test_images_at_most_2_percent_are_unfamiliar(figures):
    assert 0.02 >= figures["test"]["unfamiliar_share"]


@MEASURED
@pytest.mark.parametrize(("least", "kind"), [(least, kind) for least, kinds in CAUGHT.items() for kind in kinds])
def test_enough_of_each_kind_of_other_images_are_caught(least, kind, figures):
    assert least <= figures["others"][kind]["caught_share"]


def test_the_figures_of_two_folds_are_added():
    other = {"images": 40, "caught": 30, "caught_share": 0.75}
    part = {"test": {"images": 100, "unfamiliar": 1, "unfamiliar_share": 0.01}, "others": {"noise": other}}
    added = total([part, part])
    assert {"images": 200, "unfamiliar": 2, "unfamiliar_share": 0.01} == added["test"]
    assert {"images": 80, "caught": 60, "caught_share": 0.75} == added["others"]["noise"]
    assert {} == total([])


def test_the_table_has_a_row_for_the_test_images_and_one_for_each_kind():
    rows = novelty_rows(SHIPPED)
    assert 1 + len(OTHER_IMAGES) == len(rows)
    assert [] == novelty_rows({})


def test_the_served_model_segments_as_before_and_measures_the_novelty_of_its_features():
    torch.manual_seed(0)
    network = build_network(params_with(train__encoder_weights=None).train).eval()
    image = torch.randint(0, 256, (2, 1, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        grey = normalise(image)
        description = describe(grey, network.encoder(grey))
        novelty = fit_novelty(description)
        *segmented, found = ServedModel(network, novelty)(image)
        assert all(torch.equal(a, b) for a, b in zip(ServedSegmenter(network)(image), segmented, strict=True))
        assert (2, 1) == found.shape
        assert torch.equal(novelty(description), found)


@pytest.fixture(scope="module")
def published():
    """What the published graph for CPUs says of an image: its novelty, and whether that is within the limit."""
    folder = ROOT / "model_repository/segmenter"
    session = open_session(folder / "1/model.onnx")
    limit = float(parse_config((folder / "config.pbtxt").read_text()).parameters["model.novelty_limit"].string_value)
    sample = real_sample(sample_names("Free")[0])

    def familiar(image):
        changed = type(sample)(sample.entry, image, np.zeros(image.shape, bool))
        (prediction,) = predict_onnx(session, [changed], description="")
        return prediction.novelty <= limit

    return familiar


@pytest.mark.parametrize("kind", ["Blowhole", "Break", "Crack", "Fray", "Free", "Uneven"])
def test_the_published_graph_knows_tiles(published, kind):
    for name in sample_names(kind):
        assert published(real_sample(name).image)


def test_the_published_graph_knows_no_screenshot_of_the_page(published):
    assert not published(decode_image((ROOT / "docs/images/page.jpg").read_bytes(), max_pixels=2**22))


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_the_published_graph_knows_no_flat_image(published, grey):
    assert not published(np.full((300, 200), grey, np.uint8))


def test_the_published_graph_knows_no_noise_and_no_tile_at_half_or_double_size(published):
    tile = Image.fromarray(real_sample(sample_names("Free")[0]).image)
    assert not published(np.random.default_rng(0).integers(0, 256, (300, 200), np.uint8))
    for factor in (0.5, 2):
        assert not published(np.asarray(tile.resize([round(side * factor) for side in tile.size])))


def test_a_tiny_and_a_very_large_photograph_are_changed_within_limits():
    tiny, large = np.full((40, 1), 90, np.uint8), np.full((3000, 4000), 90, np.uint8)
    assert (20, 1) == CHANGED["half_size"](0, tiny).shape
    assert (2048, 2048) == CHANGED["double_size"](0, large).shape
