"""The served function is what the network's logits say, and its form for export computes the same."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from training_data import ROOT, params_with

from tiles import pad
from training.graphs.export_modules import with_export_modules
from training.network.segmenter import build_network, defect_logit, type_logits
from training.network.served import ServedSegmenter, most_likely, normalise

IMAGE = ROOT / "samples/tiles/MT_Blowhole/Imgs/exp1_num_262480.jpg"
SIZES = pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 160), (224, 96)])


@pytest.fixture(scope="module")
def network():
    """Random weights, and normalisations that have seen something: fresh ones do nothing."""
    torch.manual_seed(0)
    network = build_network(params_with(train__encoder_weights=None).train)
    with torch.inference_mode():
        for _ in range(3):
            network.train()(torch.randn(2, 1, 96, 64))
    return network.eval()


def canvases(height, width):
    image = np.asarray(Image.open(IMAGE).convert("L"))
    return torch.from_numpy(np.stack([pad(image[:height, :width]), pad(image[-height:, -width:])]))


def assert_equal_but_for_rounding(expected, found):
    for one, other in zip(expected, found, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
    assert 1 >= (expected[0].int() - found[0].int()).abs().max()
    assert 0.999 < (expected[1] == found[1]).float().mean()
    assert 10 < len(expected[0].unique()), "the pixels of the test's image must differ"


@SIZES
def test_every_byte_is_what_the_networks_logits_say_but_for_rounding(network, height, width):
    image = canvases(height, width)
    with torch.inference_mode():
        logits = network(normalise(image))
        probability = torch.round(255 * torch.sigmoid(defect_logit(logits))).to(torch.uint8)
        defect_type = (1 + type_logits(logits).argmax(dim=1)).to(torch.uint8)
        found = ServedSegmenter(network)(image)
    assert_equal_but_for_rounding([probability.unsqueeze(1), defect_type.unsqueeze(1)], found)


@pytest.mark.parametrize("types", [1, 2, 5])
def test_the_most_likely_type_is_the_one_with_the_highest_logit_and_the_first_of_equal_ones(types):
    torch.manual_seed(0)
    logits = torch.randint(-2, 3, (types, 2, 4, 8, 8)).float()
    expected = 1 + torch.from_numpy(logits.numpy().argmax(axis=0))
    assert torch.equal(expected.to(torch.uint8), most_likely(list(logits)))


def test_infinite_odds_are_a_certain_defect(network):
    other = copy.deepcopy(network)
    with torch.inference_mode():
        other.head[0].bias[4:8] += 1000.0  # of the first type
        probability, defect_type = ServedSegmenter(other)(canvases(32, 32))
    assert (255, 1) == (probability.min(), defect_type.max())


@SIZES
def test_every_byte_of_the_form_for_export_is_the_served_functions_but_for_rounding(network, height, width):
    image, segmenter = canvases(height, width), ServedSegmenter(network)
    with torch.inference_mode():
        assert_equal_but_for_rounding(segmenter(image), with_export_modules(segmenter)(image))


def test_a_segmenter_shares_the_weights_of_its_network(network):
    other, image = copy.deepcopy(network), canvases(32, 32)
    segmenter = ServedSegmenter(other)
    with torch.inference_mode():
        other.head[0].bias[:4] += 1000.0  # of background
        assert 0 == segmenter(image)[0].max()


def test_the_network_that_is_given_stays_as_it_is(network):
    modules = dict(network.named_modules())
    with_export_modules(ServedSegmenter(network))
    assert modules == dict(network.named_modules())


def test_nothing_asks_for_a_shape_at_run_time(network):
    exported = with_export_modules(ServedSegmenter(network))
    assert not [name for name, module in exported.named_modules() if "Same" in type(module).__name__]
    assert [name for name, module in network.named_modules() if "Same" in type(module).__name__]
