"""The mirror images: their mean is the same for every one of them, and one pass is pulled to it."""

import copy

import pytest
import torch
from training_data import params_with

from training.fitting.mirrors import first_half, mean_over_mirrors, mirror_loss_with_logits
from training.network.segmenter import build_network, defect_logit

IMAGE = torch.randn(3, 1, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(params_with(train__encoder_weights=None).train)


@pytest.mark.parametrize("axes", [(2,), (3,), (2, 3)])
def test_a_mirror_image_has_the_mirrored_mean(network, axes):
    expected = mean_over_mirrors(network, IMAGE).flip([axis - 1 for axis in axes])
    torch.testing.assert_close(expected, mean_over_mirrors(network, IMAGE.flip(axes)))
    single = torch.sigmoid(defect_logit(network(IMAGE)))
    assert not torch.allclose(single, mean_over_mirrors(network, IMAGE)), "one pass is another"


def test_the_mean_is_of_the_four_passes(network):
    with torch.no_grad():
        passes = [
            torch.sigmoid(defect_logit(network.eval()(IMAGE.flip(axes)).flip(axes))) for axes in [(), 2, 3, (2, 3)]
        ]
    torch.testing.assert_close(sum(passes) / 4, mean_over_mirrors(network, IMAGE))


def test_the_network_that_is_asked_learns_nothing(network):
    before = copy.deepcopy(network.train().state_dict())
    assert not mean_over_mirrors(network, IMAGE).requires_grad
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in before.items())


def test_the_loss_is_least_at_the_target():
    logits = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    target = torch.sigmoid(defect_logit(logits))
    least = mirror_loss_with_logits(logits, target)
    for change in (-0.5, 0.5):
        moved = logits.clone()
        moved[:, 0] += change
        assert least < mirror_loss_with_logits(moved, target)


@pytest.mark.parametrize(("crops", "half"), [(1, 1), (2, 1), (5, 3), (10, 5)])
def test_half_of_a_batch_is_at_least_one_crop(crops, half):
    assert half == len(first_half(torch.zeros(crops, 1, 2, 2)))
