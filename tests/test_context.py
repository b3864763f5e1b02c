"""The optional parts of the network: without effect at first, then each place learns of its row, column and image."""

import pytest
import torch
from training_data import WHOLE_IMAGE, params_with

from training.network.context import MOST_EVIDENCE, ImageHead, StripContext
from training.network.segmenter import build_network, defect_logit, type_logits


def network_with(**knobs):
    torch.manual_seed(0)
    return build_network(params_with(train__encoder_weights=None, **knobs).train).eval()


@pytest.fixture(scope="module")
def plain():
    return network_with(train__context=False, train__image_head=False)


@pytest.fixture(scope="module")
def whole():
    return network_with(**WHOLE_IMAGE)


@pytest.fixture(scope="module")
def image():
    return torch.randn(2, 1, 64, 96, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_untrained_they_change_no_logit(plain, whole, image):
    assert torch.equal(plain(image), whole(image))


def test_they_add_weights_and_change_no_others(plain, whole):
    ours, theirs = plain.state_dict(), whole.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    added = {".".join(name.split(".")[:4]) for name in theirs.keys() - ours.keys()}
    assert {"decoder.blocks.0.attention2", "image_head.layers.0.weight"} <= added
    assert not [name for name in ours if "attention2" in name or "image_head" in name]


def test_the_first_step_already_moves_them(whole, image):
    whole(image).square().mean().backward()
    assert whole.decoder.blocks[0].attention2.expand.weight.grad.any()
    assert whole.image_head.layers[-1].weight.grad.any()


@torch.inference_mode()
def test_a_place_sees_its_own_row_and_column_more_than_the_rest():
    torch.manual_seed(0)
    context = StripContext(8).eval()
    context.expand.weight.normal_()
    features = torch.rand(1, 8, 12, 12)
    changed = features.clone()
    changed[:, :, 2, 3] += 1
    effect = ((context(changed) - changed) - (context(features) - features)).abs().sum(dim=1)[0]  # (12, 12)
    assert effect.all(), "every place sees the whole image's mean"
    elsewhere = effect[5:, 6:].mean()
    assert 2 * elsewhere < effect[2, 6:].mean()
    assert 2 * elsewhere < effect[5:, 3].mean()


@torch.inference_mode()
def test_the_image_head_shifts_every_pixels_defect_alike_and_no_type(plain, image):
    network = network_with(train__image_head=True)
    network.image_head.layers[-1].bias.fill_(1.5)
    before, after = plain(image), network(image)
    shift = MOST_EVIDENCE * torch.tanh(torch.tensor(1.5 / MOST_EVIDENCE))
    torch.testing.assert_close(defect_logit(before) + shift, defect_logit(after))
    assert torch.equal(type_logits(before), type_logits(after))


@torch.inference_mode()
@pytest.mark.parametrize("sign", [1, -1])
def test_the_images_evidence_is_limited(sign):
    torch.manual_seed(0)
    head = ImageHead(8)
    head.layers[-1].weight.fill_(100.0 * sign)
    evidence = head(torch.randn(50, 8, 3, 4))
    assert (50, 1, 1, 1) == evidence.shape
    torch.testing.assert_close(torch.full_like(evidence, sign * MOST_EVIDENCE), evidence)
