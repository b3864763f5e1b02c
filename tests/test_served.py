"""The exported form of the network computes what the deployed one does."""

import numpy as np
import pytest
import torch
from PIL import Image
from training_data import ROOT, params_with

from tiles import pad
from training.graphs.export_modules import ExportedSegmenter
from training.network.segmenter import build_network
from training.network.served import ServedSegmenter

TILE = ROOT / "samples/tiles/MT_Blowhole/Imgs/exp1_num_262480.jpg"


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
    tile = np.asarray(Image.open(TILE).convert("L"))
    return torch.from_numpy(np.stack([pad(tile[:height, :width]), pad(tile[-height:, -width:])]))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 160), (224, 96)])
def test_every_byte_is_the_deployed_networks_but_for_rounding(network, height, width):
    image = canvases(height, width)
    with torch.inference_mode():
        expected = ServedSegmenter(network)(image)
        found = ExportedSegmenter(network)(image)
    for one, other in zip(expected, found, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
    assert 1 >= (expected[0].int() - found[0].int()).abs().max()
    assert 0.999 < (expected[1] == found[1]).float().mean()
    assert 10 < len(expected[0].unique()), "the test's image must be told apart"


def test_the_network_that_is_given_stays_as_it_is(network):
    names = [name for name, _ in network.named_modules()]
    ExportedSegmenter(network)
    assert names == [name for name, _ in network.named_modules()]


def test_nothing_asks_for_a_shape_at_run_time(network):
    exported = ExportedSegmenter(network)
    assert not [name for name, module in exported.named_modules() if "Same" in type(module).__name__]
