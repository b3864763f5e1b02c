"""Mixed precision: what leaves it on a CPU, and that nothing else changes by that."""

import copy

import pytest
import torch
from training_data import params_with

from training.network import build_network
from training.precision import autocast, keep_depthwise_in_float32


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


def test_in_mixed_precision_depthwise_convolutions_alone_compute_in_float32(network):
    changed = copy.deepcopy(network)
    keep_depthwise_in_float32(changed)
    weights = {module.weight: name for name, module in changed.named_modules() if isinstance(module, torch.nn.Conv2d)}
    depthwise = {name for weight, name in weights.items() if weight.shape[1] == 1 < weight.shape[0] and "dw" in name}
    assert depthwise
    seen = {}
    for name, module in changed.named_modules():
        if name in depthwise:
            module.register_forward_hook(
                lambda _, args, out, name=name: seen.update({name: (args[0].dtype, out.dtype)})
            )
    with torch.autocast("cpu", torch.bfloat16):
        logits = changed(IMAGE)
        plain = network(IMAGE)
    assert depthwise == seen.keys()
    assert all(given == returned for given, returned in seen.values())
    torch.testing.assert_close(plain.float(), logits.float(), rtol=0.1, atol=0.1)


def test_a_processor_without_bfloat16_computes_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with autocast(torch.device("cpu")):
        assert torch.float32 == (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
