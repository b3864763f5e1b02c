"""The first public project's recipe: its crops, its schedule, its resume and its way back to the whole image."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn
from training_data import real_sample, without_model_hub

from studies.baseline.crops import BaselineCrops, Scaled, normalise, scale, view, warped_places
from studies.baseline.recipe import Recipe
from studies.baseline.run import baseline_key, place_back
from studies.baseline.trainer import BaselineTrainer, build_network, layer_groups
from studies.literature import CENTRE_CROP
from training.errors import DatasetError, TrainingError
from training.fitting.checkpoint import RunState

PLAIN = replace(Recipe(), rotation=0.0, warp=0.0, lighting=0.0)
SMALL = replace(Recipe(), batch_size=2, epochs=2)
IMAGES = ("Break/exp1_num_271361", "Uneven/exp1_num_270128", "Free/exp1_num_10903")


def crops(recipe):
    samples = [real_sample(name) for name in IMAGES]
    return BaselineCrops(samples, {sample.entry.name: sample.mask for sample in samples}, recipe, seed=1)


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    without_model_hub(monkeypatch, tmp_path)
    return lambda recipe=SMALL: BaselineTrainer(recipe, 1, crops(recipe))


def test_the_schedule_is_fastais_fine_tune_by_its_own_rate():
    frozen, unfrozen = Recipe().phases(pretrained=True)
    assert (1, (2e-4, 2e-4, 2e-3), True) == (frozen.epochs, pytest.approx(frozen.peaks), frozen.frozen)
    assert (15, (1e-5, 1e-4, 1e-3), False) == (unfrozen.epochs, pytest.approx(unfrozen.peaks), unfrozen.frozen)


def test_random_weights_are_neither_frozen_nor_held_back():
    assert [((2e-3,) * 3, False), ((1e-3,) * 3, False)] == [
        (phase.peaks, phase.frozen) for phase in Recipe().phases(pretrained=False)
    ]


def test_a_frozen_encoder_learns_its_batch_normalisation_alone(trainer):
    built = trainer()
    built.begin(Recipe().phases(pretrained=True)[0], None)
    modules = [module for module in built.network.encoder.modules() if list(module.parameters(recurse=False))]
    learn = {type(module) for module in modules if all(p.requires_grad for p in module.parameters(recurse=False))}
    assert {nn.BatchNorm2d} == learn
    assert all(parameter.requires_grad for parameter in built.network.decoder.parameters())


def test_every_parameter_is_in_one_group(trainer):
    built = trainer()
    grouped = [id(p) for group in built.optimizer.param_groups for p in group["params"]]
    assert sorted(id(p) for p in built.network.parameters()) == sorted(grouped)


@pytest.mark.parametrize(
    ("encoder", "first", "last"),
    [
        ("resnet34", ("conv1", "layer2"), ("layer3", "layer4")),
        ("tu-tf_efficientnet_lite0", ("model.conv_stem", "model.blocks.2"), ("model.blocks.3", "model.blocks.6")),
    ],
)
def test_the_encoder_is_split_between_strides_8_and_16(encoder, first, last):
    network = smp.Unet(encoder, encoder_weights=None, classes=2)
    groups = [{id(p) for p in group} for group in layer_groups(network)]
    of_modules = [
        {id(p) for name in names for p in network.encoder.get_submodule(name).parameters()} for names in (first, last)
    ]
    assert all(some <= group for some, group in zip(of_modules, groups, strict=False))
    assert {id(p) for p in network.decoder.parameters()} < groups[2]
    assert len({id(p) for p in network.parameters()}) == sum(map(len, groups))


def test_another_pretrained_encoder_stands_in_for_one_that_cannot_be_had(monkeypatch):
    def unet(encoder, encoder_weights, classes):
        if encoder_weights and encoder == Recipe().encoder:
            raise OSError("no such repository")
        return smp.Unet(encoder, encoder_weights=None, classes=classes)

    monkeypatch.setattr("studies.baseline.trainer.smp", SimpleNamespace(Unet=unet))
    _, found = build_network(Recipe())
    assert ("tu-tf_efficientnet_lite0", "imagenet") == (found["encoder"], found["encoder_weights"])
    assert "no such repository" in found["weights_missing"]


def test_an_undistorted_crop_is_a_window_of_the_scaled_image():
    ramp = np.tile(np.arange(CENTRE_CROP, dtype=np.uint8)[:, None], (1, 300))
    crop, mask = view(Scaled(ramp, ramp % 2), PLAIN, np.random.default_rng(0))
    assert torch.allclose(crop * 255, torch.from_numpy(ramp[:, :CENTRE_CROP].astype(np.float32)), atol=0.01)
    assert torch.equal(mask, torch.from_numpy((ramp[:, :CENTRE_CROP] % 2).astype(np.int64)))


def test_a_tilt_makes_a_trapezoid_and_keeps_the_edges_straight():
    places = warped_places(0.0, 0.2, 0.0)[0]
    assert torch.allclose(torch.tensor([[-1.2, -1], [1.2, -1]]), places[0, [0, -1]], atol=1e-5)
    assert torch.allclose(torch.tensor([[-0.8, 1], [0.8, 1]]), places[-1, [0, -1]], atol=1e-5)


def test_a_crop_depends_on_seed_epoch_and_number_alone():
    once, again = ([*crops(SMALL).batches(epoch)] for epoch in (3, 3))
    other = [*crops(SMALL).batches(4)]
    assert torch.equal(once[0][0], again[0][0])
    assert not torch.equal(once[0][0], other[0][0])


def test_the_baseline_sees_defective_images_alone_in_imagenets_scale():
    assert 2 == len(crops(SMALL))
    ((crop, mask),) = crops(SMALL).batches(0)
    assert ((2, 224, 224), (2, 224, 224)) == (crop.shape, mask.shape)
    assert 0 <= crop.min() <= crop.max() <= 1
    assert {0, 1} == set(mask.unique().tolist())
    grey = normalise(torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
    assert torch.allclose(torch.zeros(3), torch.diagonal(grey[:, :, 0, 0]), atol=1e-6)


def test_images_that_fill_no_batch_are_refused():
    with pytest.raises(DatasetError, match=r"batches of 4, and the fold's train part has 2: raise data_split\.folds"):
        crops(Recipe())


@pytest.mark.parametrize(("height", "width"), [(403, 103), (224, 632), (300, 300)])
def test_a_prediction_lies_where_the_centre_crop_was_taken_and_nothing_outside(height, width):
    side = min(height, width)
    whole = place_back(np.full((CENTRE_CROP, CENTRE_CROP), 200, np.uint8), height, width)
    top, left = (height - side) // 2, (width - side) // 2
    expected = np.zeros((height, width), np.uint8)
    expected[top : top + side, left : left + side] = 200
    assert (height, width) == whole.shape
    assert (whole != expected).mean() < 0.02  # half a pixel of the scaled image at the ends


def test_a_scaled_mask_stays_one_of_two_values():
    sample = real_sample(IMAGES[0])
    scaled = scale(sample.image, sample.mask)
    assert CENTRE_CROP == min(scaled.image.shape)
    assert {0, 1} == set(np.unique(scaled.mask).tolist())


class Interrupted(RunState):
    """Ends the run once its second epoch, the first one of the second schedule, is saved."""

    def save(self, modules, optimizer, meta):
        super().save(modules, optimizer, meta)
        if len(meta["losses"]) == 2:
            raise KeyboardInterrupt


def test_an_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(trainer, tmp_path):
    small = replace(SMALL, encoder="tu-mobilenetv3_small_050")  # the recipe's own takes long to save
    straight = trainer(small)
    expected = straight.train(RunState(tmp_path / "straight"))
    with pytest.raises(KeyboardInterrupt):
        trainer(small).train(Interrupted(tmp_path / "resumed"))
    resumed = trainer(small)
    found = resumed.train(RunState(tmp_path / "resumed"))
    assert 3 == len(expected["losses"])
    assert expected["losses"] == found["losses"]
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    assert baseline_key("fold", straight) == baseline_key("fold", resumed) != baseline_key("other", straight)


def test_a_loss_that_is_not_finite_ends_the_training(trainer, tmp_path):
    built = trainer()
    with torch.no_grad():
        built.network.segmentation_head[0].bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="the baseline's loss became nan at epoch 1"):
        built.train(RunState(tmp_path))
