"""Mixed precision: what leaves it on a CPU, and that nothing else changes by that."""

import copy
from unittest import mock

import pytest
import torch
from training_data import params_with

from training.network.mixed_precision import autocast, keep_depthwise_in_float32
from training.network.segmenter import build_network


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return build_network(params_with(train__encoder_weights=None).train).eval()


IMAGE = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64)


def test_outside_mixed_precision_the_network_stays_the_very_same(network):
    changed = copy.deepcopy(network)
    keep_depthwise_in_float32(changed)
    assert torch.equal(network(IMAGE), changed(IMAGE))
    assert network.state_dict().keys() == changed.state_dict().keys()


def test_in_mixed_precision_depthwise_convolutions_alone_compute_in_float32(network, monkeypatch):
    changed = copy.deepcopy(network)
    keep_depthwise_in_float32(changed)
    calls = []
    conv2d = torch.nn.functional.conv2d

    def recorded(image, weight, *args):
        depthwise = weight.shape[1] == 1 < args[-1]
        calls.append((depthwise, image.dtype, torch.is_autocast_enabled("cpu")))
        return conv2d(image, weight, *args)

    monkeypatch.setattr(torch.nn.functional, "conv2d", recorded)
    with torch.autocast("cpu", torch.bfloat16):
        logits = changed(IMAGE)
    assert {(torch.float32, False)} == {call[1:] for call in calls if call[0]}
    assert {True} == {autocasting for depthwise, _, autocasting in calls if not depthwise}
    assert (network(IMAGE) - logits.float()).abs().mean() < 0.05


def test_a_processor_without_bfloat16_computes_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with autocast(torch.device("cpu")):
        assert torch.float32 == (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_that_only_emulates_bfloat16_computes_in_float32(monkeypatch, native):
    """A T4 says that it has bfloat16, and has no convolutions of it."""
    says = mock.Mock(side_effect=lambda including_emulation=True: including_emulation or native)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", says)
    monkeypatch.setattr(torch, "autocast", mock.Mock())
    autocast(torch.device("cuda"))
    assert ([mock.call("cuda", torch.bfloat16)] if native else []) == torch.autocast.mock_calls
