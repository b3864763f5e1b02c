"""The network: what goes in and out, and that it stays small enough for a CPU."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode
from training_data import params_with

from training.errors import ParamsError, TrainingError
from training.fitting.trainer import Trainer
from training.network.encoders import refuse_unfit_encoder
from training.network.segmenter import build_network


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(params_with(train__encoder_weights=None).train).eval()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 160), (224, 96)])
def test_every_pixel_gets_six_logits(network, height, width):
    with torch.inference_mode():
        logits = network(torch.zeros(2, 1, height, width))
    assert (2, 6, height, width) == logits.shape


def test_four_pixels_of_one_place_at_half_resolution_have_logits_of_their_own(network):
    with torch.inference_mode():
        logits = network(torch.randn(1, 1, 64, 64))
    blocks = logits.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)  # (1, 6, 32, 32, 4)
    assert (blocks.std(dim=-1) > 0).all()


def test_it_has_less_than_4_million_parameters_and_25_billion_multiply_adds_a_megapixel(network):
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, 512, 512))
    assert 4e6 > sum(parameter.numel() for parameter in network.parameters())
    assert 25e9 > counter.get_total_flops() / 2 / (512 * 512) * 1e6


def test_an_encoder_that_nobody_knows_is_named_before_a_training_begins():
    params = params_with(train__encoder="tu-tf_efficientnet_lite00").train
    with pytest.raises(
        ParamsError, match=r"there is no encoder 'tu-tf_efficientnet_lite00'; did you mean tu-tf_efficientnet_"
    ):
        Trainer(params, seed=0)


def test_stochastic_depth_that_an_encoder_does_not_have_is_refused_by_its_name():
    own = params_with(train__encoder="resnet34").train
    with pytest.raises(
        ParamsError, match=r"train\.drop_path: resnet34 has no stochastic depth: set train\.drop_path to 0"
    ):
        refuse_unfit_encoder(own)
    refuse_unfit_encoder(own.model_copy(update={"drop_path": 0.0}))
    without = params_with(train__encoder="tu-densenet121").train
    with pytest.raises(ParamsError, match=r"or set train\.drop_path to 0"):
        refuse_unfit_encoder(without)
    refuse_unfit_encoder(without.model_copy(update={"drop_path": 0.0}))


def test_truncated_pretrained_weights_are_named_with_the_mend(tmp_path, monkeypatch):
    weights = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(100)}, weights)
    weights.write_bytes(weights.read_bytes()[:-8])
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: load_file(weights))
    with pytest.raises(
        TrainingError, match=r"weights of tu-tf_efficientnet_lite0 are damaged .*: delete their folder in "
    ):
        build_network(params_with().train)
