"""The mirror images: one pass is pulled to what the network finds in them."""

import copy

import pytest
import torch
from training_data import params_with

from training.fitting.mirrors import MIRRORS, mirror_loss_with_logits, seen_in_a_mirror
from training.network.segmenter import build_network, defect_logit

IMAGE = torch.randn(3, 1, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(params_with(train__encoder_weights=None).train)


def test_each_of_the_three_mirror_images_is_asked(network):
    with torch.no_grad():
        passes = [torch.sigmoid(defect_logit(network.eval()(IMAGE.flip(a)).flip(a))) for a in MIRRORS]
        single = torch.sigmoid(defect_logit(network(IMAGE)))
    assert not any(torch.allclose(single, each) for each in passes), "a mirror image gives the same as the image"
    torch.manual_seed(0)
    seen = {
        number
        for found in [seen_in_a_mirror(network, IMAGE) for _ in range(20)]
        for number, each in enumerate(passes)
        if torch.allclose(each, found)
    }
    assert {0, 1, 2} == seen


def test_the_drawn_mirror_image_depends_on_the_seed_alone(network):
    torch.manual_seed(3)
    first = [seen_in_a_mirror(network, IMAGE) for _ in range(4)]
    torch.manual_seed(3)
    assert all(torch.equal(each, seen_in_a_mirror(network, IMAGE)) for each in first)


def test_the_network_that_is_asked_learns_nothing(network):
    before = copy.deepcopy(network.train().state_dict())
    assert not seen_in_a_mirror(network, IMAGE).requires_grad
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in before.items())


@pytest.mark.parametrize("change", [-0.5, 0.5])
def test_the_loss_is_least_at_the_target(change):
    logits = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    target = torch.sigmoid(defect_logit(logits))
    moved = logits.clone()
    moved[:, 0] += change
    assert mirror_loss_with_logits(logits, target) < mirror_loss_with_logits(moved, target)
