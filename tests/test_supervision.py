"""Deep supervision: two coarse masks while a network with context trains, whose targets are shares of a defect."""

import pytest
import torch
from training_data import params_with

from training.network.segmenter import build_network
from training.network.supervision import SupervisedSegmenter, supervision_loss_with_logits

IMAGE = torch.randn(2, 1, 64, 96, generator=torch.Generator().manual_seed(1))


def supervised(*, context):
    torch.manual_seed(0)
    params = params_with(train__encoder_weights=None, train__context=context).train
    return SupervisedSegmenter(build_network(params), params).eval()


@torch.inference_mode()
def test_a_network_with_context_also_gives_masks_at_the_strides_16_and_32():
    network = supervised(context=True)
    logits, coarse = network(IMAGE)
    assert torch.equal(network.network(IMAGE), logits)
    assert [(2, 4, 6), (2, 2, 3)] == [tuple(mask.shape) for mask in coarse]


@torch.inference_mode()
def test_the_mask_at_stride_16_is_of_what_the_context_gave():
    network = supervised(context=True)
    _, (before, _) = network(IMAGE)
    network.network.decoder.blocks[0].attention2.expand.bias += 1
    _, (after, _) = network(IMAGE)
    torch.testing.assert_close(before + network.heads[0].weight.sum(), after)


@torch.inference_mode()
def test_without_context_there_is_neither_head_nor_loss():
    network = supervised(context=False)
    logits, coarse = network(IMAGE)
    assert torch.equal(network.network(IMAGE), logits)
    assert [] == coarse == list(network.heads)
    assert 0 == supervision_loss_with_logits(coarse, torch.ones(2, 64, 96))


def test_the_best_coarse_mask_is_the_defects_share_of_each_place():
    mask = torch.zeros(1, 64, 64)
    mask[0, :8, :32] = 1  # half of two places at stride 16, a quarter of one at stride 32
    shares = [torch.zeros(1, 4, 4), torch.zeros(1, 2, 2)]
    shares[0][0, 0, :2], shares[1][0, 0, 0] = 0.5, 0.25
    best = [share.logit(eps=1e-4) for share in shares]
    least = supervision_loss_with_logits(best, mask)
    for index in range(2):
        for change in (-0.5, 0.5):
            other = [logit + change * (place == index) for place, logit in enumerate(best)]
            assert least < supervision_loss_with_logits(other, mask)


def test_the_loss_weighs_stride_16_twice_as_much_as_stride_32():
    nothing = [torch.zeros(1, 4, 4), torch.zeros(1, 2, 2)]
    expected = (0.2 + 0.1) * torch.log(torch.tensor(2.0))
    torch.testing.assert_close(expected, supervision_loss_with_logits(nothing, torch.zeros(1, 64, 64)))
    assert (
        pytest.approx(0.2 * 0.6931, rel=1e-3)
        == supervision_loss_with_logits(nothing[:1], torch.zeros(1, 64, 64)).item()
    )
