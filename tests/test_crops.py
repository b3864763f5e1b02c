"""What the network is shown: crops that depend on seed, epoch and index alone, and labels that stay on their pixels."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from training_data import a_sample, params_with, real_sample

from tiles import DEFECT_TYPES
from training.errors import DatasetError
from training.fitting.crops import Crops, CropSampler, paste

SIZE = 64
SAMPLES = [
    real_sample(name)
    for name in ("Blowhole/exp1_num_262480", "Break/exp1_num_271361", "Uneven/exp1_num_109232", "Free/exp1_num_10903")
]
UNCHANGED = {"train__gamma": [1.0, 1.0], "train__gain": [1.0, 1.0], "train__noise": 0.0}


def sampler_of(samples=SAMPLES, *, seed=20, **changes):
    small = {"train__crop_size": SIZE, "train__crops_per_epoch": 16, "train__batch_size": 4}
    return CropSampler(samples, params_with(**small | changes).train, seed)


def epoch_of(sampler, epoch):
    """All crops of an epoch, as one batch: (N, 1, S, S) and (N, S, S)."""
    return Crops(*map(torch.cat, zip(*sampler.batches(epoch), strict=True)))


def assert_equal(expected, actual):
    for one, other in zip(expected, actual, strict=True):
        assert torch.equal(one, other)


def half_defective(defect_type, height=100, width=120, **names):
    """A sample that shows its mask: white where defective, black elsewhere."""
    mask = np.zeros((height, width), bool)
    mask[20:70, 30:90] = True
    return a_sample(mask.astype(np.uint8) * 255, mask, defect_type=defect_type, **names)


def plain(defect_type, *, grey=100, defective=False, size=(80, 80), **names):
    """A sample of one grey, all of it defective or nothing."""
    return a_sample(np.full(size, grey, np.uint8), np.full(size, defective), defect_type=defect_type, **names)


def test_a_new_sampler_shows_the_same_epoch_again_without_the_ones_before():
    first = sampler_of()
    for epoch in range(5):
        epoch_of(first, epoch)
    assert_equal(epoch_of(first, 5), epoch_of(sampler_of(), 5))


def test_the_order_in_which_the_samples_are_listed_changes_nothing():
    assert_equal(epoch_of(sampler_of(), 0), epoch_of(sampler_of(SAMPLES[::-1]), 0))


def test_the_batch_size_changes_no_crop():
    assert_equal(epoch_of(sampler_of(), 1), epoch_of(sampler_of(train__batch_size=8), 1))


def test_no_two_crops_of_two_epochs_are_equal():
    sampler = sampler_of()
    crops = [crop.numpy().tobytes() for epoch in range(2) for crop in epoch_of(sampler, epoch)[0]]
    assert len(crops) == len(set(crops))


def test_another_seed_shows_other_crops():
    assert not torch.equal(epoch_of(sampler_of(), 0)[0], epoch_of(sampler_of(seed=21), 0)[0])


def test_an_epoch_has_whole_batches_of_the_stated_shapes_and_types():
    batches = list(sampler_of(train__crops_per_epoch=15).batches(0))
    assert 3 == len(batches)  # the 15th crop's batch would not be whole
    for image, label in batches:
        assert ((4, 1, SIZE, SIZE), torch.float32) == (image.shape, image.dtype)
        assert ((4, SIZE, SIZE), torch.int64) == (label.shape, label.dtype)


def test_greys_stay_in_0_to_255_however_strong_the_exposure_and_the_noise():
    images, _ = epoch_of(sampler_of(train__gain=[0.1, 10.0], train__noise=50.0), 0)
    assert (0, 255) == (images.min(), images.max())


@pytest.mark.parametrize("defect_type", DEFECT_TYPES)
def test_a_label_holds_0_and_its_types_number_alone(defect_type):
    _, labels = epoch_of(sampler_of([half_defective(defect_type), plain("Free")], train__free_share=0.0), 0)
    assert {0, 1 + DEFECT_TYPES.index(defect_type)} == set(labels.unique().tolist())


def test_label_and_image_go_through_the_same_warp():
    sampler = sampler_of(
        [half_defective("Crack"), plain("Free", grey=0)],
        train__free_share=0.0,
        train__crops_per_epoch=64,
        train__rotation=45.0,
        train__scale=[0.5, 2.0],
        **UNCHANGED,
    )
    images, labels = epoch_of(sampler, 0)
    between = (images[:, 0] - 127.5).abs() < 0.1  # where float rounding decides
    assert torch.equal((images[:, 0] > 127.5)[~between], (labels > 0)[~between])
    assert between.float().mean() < 0.01
    assert 0.2 < (labels > 0).float().mean() < 0.8


@pytest.mark.parametrize("rotation", [0.0, 15.0])
@pytest.mark.parametrize("scale", [0.8, 1.0, 2.0])
def test_a_crop_is_scaled_and_turned_as_stated(scale, rotation):
    ramp = np.tile(np.arange(250, dtype=np.uint8), (250, 1))  # one grey level a pixel to the right
    samples = [a_sample(ramp, np.ones(ramp.shape, bool), defect_type="Fray"), plain("Free")]
    knobs = {"train__scale": [scale, scale], "train__rotation": rotation, "train__free_share": 0.0}
    images, _ = epoch_of(sampler_of(samples, **knobs, **UNCHANGED), 0)
    down, right = (slope[:, 0, 16:48, 16:48].mean(dim=(1, 2)) for slope in torch.gradient(images, dim=(2, 3)))
    torch.testing.assert_close(torch.full((16,), 1 / scale), torch.hypot(down, right), rtol=0, atol=1e-3)
    turn = torch.rad2deg(torch.atan2(down.abs(), right.abs()))
    assert rotation / 2 <= turn.max() <= rotation + 0.1


def test_crops_are_mirrored_either_way_and_never_turned_aside():
    rows, columns = np.indices((150, 150))
    image = (columns + rows // 2).astype(np.uint8)  # steeper to the right than down
    samples = [a_sample(image, np.ones(image.shape, bool), defect_type="Fray"), plain("Free")]
    unturned = {"train__scale": [1.0, 1.0], "train__rotation": 0.0, "train__free_share": 0.0}
    images, _ = epoch_of(sampler_of(samples, **unturned, **UNCHANGED), 0)
    slopes = torch.stack([slope[:, 0].mean(dim=(1, 2)) for slope in torch.gradient(images, dim=(3, 2))])
    expected = torch.tensor([[1.0], [0.5]]).expand(2, 16)
    torch.testing.assert_close(expected, slopes.abs(), rtol=0, atol=0.02)
    assert {(1, 1), (1, -1), (-1, 1), (-1, -1)} == {tuple(signs) for signs in slopes.sign().T.tolist()}


def test_a_crop_larger_than_its_image_repeats_the_images_edge():
    samples = [plain("Break", grey=77, defective=True, size=(20, 30)), plain("Free")]
    images, labels = epoch_of(sampler_of(samples, train__free_share=0.0, **UNCHANGED), 0)
    torch.testing.assert_close(torch.full_like(images, 77), images)
    assert (labels == 2).all()


def test_gain_and_gamma_change_greys_within_their_bounds():
    samples = [plain("Break", grey=100, defective=True), plain("Free", grey=100)]
    images, _ = epoch_of(sampler_of(samples, train__crops_per_epoch=200, train__noise=0.0), 0)
    gamma, gain = params_with().train.gamma, params_with().train.gain
    lowest, highest = (255 * gain[end] * (100 / 255) ** gamma[1 - end] for end in (0, 1))
    greys = images.mean(dim=(1, 2, 3))
    assert lowest < greys.min() < lowest + 15
    assert highest - 15 < greys.max() < highest


def test_noise_is_at_most_as_strong_as_stated():
    samples = [plain("Break", defective=True), plain("Free")]
    deviations = epoch_of(sampler_of(samples, **UNCHANGED | {"train__noise": 4.0}), 0)[0].std(dim=(1, 2, 3))
    assert 3 < deviations.max() < 4.2
    assert deviations.min() < 1


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_stated_share_of_the_crops_is_free(share):
    samples = [plain(defect_type, defective=True) for defect_type in DEFECT_TYPES] + [plain("Free")]
    crops = {"train__crop_size": 32, "train__crops_per_epoch": 2000, "train__batch_size": 100}
    _, labels = epoch_of(sampler_of(samples, train__free_share=share, **crops), 0)
    numbers = labels[:, 16, 16]
    assert share == pytest.approx((numbers == 0).float().mean().item(), abs=0.04)
    for number in range(1, 6):
        assert (1 - share) / 5 == pytest.approx((numbers == number).float().mean().item(), abs=0.04)


def test_a_tile_is_shown_as_often_as_another_that_was_photographed_more_often():
    often = [plain("Break", grey=200, defective=True, tile="often", name=str(i)) for i in range(9)]
    samples = [*often, plain("Break", grey=50, defective=True, tile="once", name="10"), plain("Free")]
    crops = {"train__crop_size": 32, "train__crops_per_epoch": 1000, "train__batch_size": 100, "train__free_share": 0.0}
    images, _ = epoch_of(sampler_of(samples, **crops, **UNCHANGED), 0)
    assert pytest.approx(0.5, abs=0.05) == (images.mean(dim=(1, 2, 3)) > 100).float().mean().item()


def test_the_stated_share_of_a_defective_images_crops_shows_the_defect():
    mask = np.zeros((400, 400), bool)
    mask[200:204, 200:204] = True
    sample = a_sample(mask.astype(np.uint8), mask, defect_type="Blowhole")
    shown = []
    for share in (0.0, 0.5, 1.0):
        knobs = {"train__defect_centred_share": share, "train__free_share": 0.0, "train__crops_per_epoch": 200}
        _, labels = epoch_of(sampler_of([sample, plain("Free")], **knobs), 0)
        shown.append((labels > 0).any(dim=(1, 2)).float().mean().item())
    assert shown[0] < 0.15
    assert all(less < more - 0.25 for less, more in pairwise(shown))
    assert shown[2] > 0.9


def test_an_image_of_a_defects_folder_with_an_empty_mask_is_not_shown():
    samples = [plain("Uneven", grey=200), plain("Break", grey=100, defective=True), plain("Free", grey=100)]
    images, _ = epoch_of(sampler_of(samples, **UNCHANGED), 0)
    assert images.max() < 101


@pytest.mark.parametrize(
    "samples",
    [[], [plain("Free")], [plain("Break", defective=True)], [plain("Free"), plain("Uneven")]],
    ids=["none", "Free alone", "a defect alone", "an empty mask is no defect"],
)
def test_samples_without_free_or_without_a_defect_are_refused(samples):
    with pytest.raises(DatasetError, match=r"with and without a defect: look into data/split\.csv"):
        sampler_of(samples)


def test_types_are_shown_as_the_roots_of_their_numbers_of_tiles():
    often = [plain("Break", grey=200, defective=True, name=str(i)) for i in range(9)]
    samples = [*often, plain("Crack", grey=50, defective=True, name="10"), plain("Free")]
    crops = {"train__crop_size": 32, "train__crops_per_epoch": 1000, "train__batch_size": 100, "train__free_share": 0.0}
    _, labels = epoch_of(sampler_of(samples, **crops), 0)
    assert pytest.approx(3 / 4, abs=0.04) == (labels == 2).float().mean().item()


@pytest.mark.parametrize("length", [SIZE, SIZE + 1])
def test_a_crop_lies_on_its_image_to_the_last_pixel(length):
    image = np.tile(np.arange(length, dtype=np.uint8), (length, 1))
    samples = [a_sample(image, np.ones(image.shape, bool), defect_type="Fray"), plain("Free")]
    unturned = {"train__scale": [1.0, 1.0], "train__rotation": 0.0, "train__free_share": 0.0}
    images, _ = epoch_of(sampler_of(samples, **unturned, **UNCHANGED), 0)
    slopes = images[:, 0].diff(dim=-1).abs()
    torch.testing.assert_close(torch.ones_like(slopes), slopes, rtol=0, atol=1e-3)


def crops_of_ramp(length, *, scale=1.0):
    """The greys along one row of each crop of an image that is one grey level brighter each pixel to the right."""
    image = np.tile(np.arange(length, dtype=np.uint8), (length, 1))
    samples = [a_sample(image, np.ones(image.shape, bool), defect_type="Fray"), plain("Free")]
    unturned = {"train__scale": [scale, scale], "train__rotation": 0.0, "train__free_share": 0.0}
    images, _ = epoch_of(sampler_of(samples, train__crops_per_epoch=64, **unturned, **UNCHANGED), 0)
    return images[:, 0, SIZE // 2].sort(dim=1).values


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.6])
def test_crops_of_a_large_image_reach_its_ends_and_no_further(scale):
    crops = crops_of_ramp(200, scale=scale)
    end = 0.5 / scale - 0.5  # the centre of a crop's pixel whose edge is the image's
    assert pytest.approx(max(0, end), abs=1e-2) == crops.min()
    assert pytest.approx(199 - max(0, end), abs=1e-2) == crops.max()
    slopes = crops.diff(dim=1)
    torch.testing.assert_close(torch.full_like(slopes[:, 1:-1], 1 / scale), slopes[:, 1:-1], rtol=0, atol=1e-2)


def test_a_crop_longer_than_its_image_begins_at_one_end_or_less_than_a_stride_before():
    crops = crops_of_ramp(20)  # of 64 pixels: 44 to spare
    before = torch.minimum((crops < 0.5).sum(dim=1), (crops > 18.5).sum(dim=1)) - 1
    assert 0.3 < (before == 0).float().mean() < 0.7
    assert 10 < before.max() <= 32
    first_end_spared = (crops < 0.5).sum(dim=1) > (crops > 18.5).sum(dim=1)
    assert 0.3 < first_end_spared.float().mean() < 0.7


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_every_batch_equally_and_together_see_all_of_it(processes):
    sampler = sampler_of()
    shares = [list(sampler.batches(3, process=process, processes=processes)) for process in range(processes)]
    for number, batch in enumerate(sampler.batches(3)):
        for process in range(processes):
            assert_equal([plane[process::processes] for plane in batch], shares[process][number])


def spot_on(grey, *, spot, background, contrast=0.0):
    """A crop of one grey with a spot, its mask and another crop to paste it onto: (1, S, S) each."""
    mask = torch.zeros(1, SIZE, SIZE)
    mask[0, 28:34, 30:36] = 1
    image = torch.full((1, SIZE, SIZE), grey) + mask * (spot - grey)
    onto = torch.full((1, SIZE, SIZE), background)
    onto[:, :, ::2] *= 1 - contrast
    return image, mask, onto


@pytest.mark.parametrize(("strength", "grey"), [(1.0, 80.0 * 50 / 200), (0.5, 50.0), (2.0, 0.0)])
def test_a_pasted_defect_is_as_much_darker_than_its_surroundings_as_asked(strength, grey):
    image, mask, background = spot_on(200.0, spot=50.0, background=80.0)
    pasted = paste(image, mask, background, strength=strength)
    torch.testing.assert_close(torch.full((36,), grey), pasted[mask > 0])
    torch.testing.assert_close(torch.full((SIZE * SIZE - 36,), 80.0), pasted[mask == 0])


def test_a_defect_at_the_crops_edge_is_pasted_whole():
    image, mask, background = spot_on(200.0, spot=50.0, background=80.0)
    moved = [part.roll(-28, dims=1) for part in (image, mask)]
    pasted = paste(*moved, background, strength=1.0)
    torch.testing.assert_close(torch.full((36,), 80.0 * 50 / 200), pasted[moved[1] > 0])


def test_beyond_its_rim_a_pasted_defect_changes_nothing():
    image, mask, background = spot_on(200.0, spot=50.0, background=80.0)
    image[:, :, :8] = 255.0  # far from the spot
    assert torch.equal(background[:, :, :8], paste(image, mask, background, strength=1.0)[:, :, :8])


@pytest.mark.parametrize("contrast", [0.2, 0.9])
def test_a_defect_is_moved_only_where_no_patch_would_show(contrast):
    image, mask, background = spot_on(200.0, spot=50.0, background=80.0, contrast=contrast)
    assert (contrast > 0.5) == torch.equal(image, paste(image, mask, background, strength=1.0))


def test_a_defect_is_pasted_onto_black_without_a_nan():
    image, mask, background = spot_on(0.0, spot=0.0, background=0.0)
    assert torch.equal(background, paste(image, mask, background, strength=1.0))


@pytest.mark.parametrize("defect_type", ["Blowhole", "Break", "Crack"])
def test_the_stated_share_of_small_defects_stands_on_a_tile_without_any(defect_type):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[30:36, 30:36] = True
    samples = [
        a_sample(np.where(mask, 100, 200).astype(np.uint8), mask, defect_type=defect_type),
        plain("Free", grey=80),
    ]
    knobs = {"train__free_share": 0.0, "train__pasted_share": 0.3, "train__crops_per_epoch": 400, **UNCHANGED}
    images, labels = epoch_of(sampler_of(samples, **knobs), 0)
    moved = torch.stack([image[0, 0, 0] for image in images]) < 100
    assert pytest.approx(0.3, abs=0.08) == moved.float().mean().item()
    assert (labels[moved] > 0).any(dim=(1, 2)).all()


def test_a_large_defect_or_one_that_belongs_to_its_tile_is_not_moved():
    small = np.zeros((SIZE, SIZE), bool)
    small[30:36, 30:36] = True
    samples = [
        a_sample(np.full(small.shape, 200, np.uint8), small, defect_type="Uneven", name="1"),
        a_sample(np.full(small.shape, 200, np.uint8), small, defect_type="Fray", name="2"),
        plain("Crack", grey=200, defective=True, name="3"),
        plain("Free", grey=80),
    ]
    images, _ = epoch_of(sampler_of(samples, train__free_share=0.0, train__pasted_share=1.0, **UNCHANGED), 0)
    assert images.min() > 100
