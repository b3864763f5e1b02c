"""Crops that come in pairs, and crops of consensus masks: what changes with either option, and what does not."""

import numpy as np
import pytest
import torch
from surfaces import BORDER, HEIGHT, SPOT, WIDTH, mask_of, surface
from test_crops import UNCHANGED, assert_equal, crops_of, plain, sampler_of
from training_data import a_sample

from training.fitting import crops
from training.fitting.crops import Crops

PAIRED = {"train__consistency_weight": 1.0}
KNOBS = {"train__crops_per_epoch": 32, "train__batch_size": 8, "train__pasted_share": 0.0, **UNCHANGED}


def window(of, moved):
    """The surface's middle as the camera sees it that was moved down and to the right; nothing else changes."""
    rows, columns = (slice(BORDER + by, BORDER + by + side) for by, side in zip(moved, (HEIGHT, WIDTH), strict=True))
    return np.clip(128 + of[rows, columns], 0, 255).astype(np.uint8)


def tile(seed, number, *spots, defect_type="Free", moves=((0, 0), (4, -3), (-5, 2))):
    return [
        a_sample(
            window(surface(seed, *spots), moved),
            mask_of(*spots, moved=moved),
            defect_type=defect_type,
            name=f"{number}-{exposure}",
            tile=str(number),
        )
        for exposure, moved in enumerate(moves)
    ]


TILES = [*tile(1, 1, SPOT, defect_type="Crack"), *tile(2, 2)]


@pytest.fixture(scope="module")
def off():
    """As published: neither consensus nor synthetic defects."""
    return crops_of(sampler_of(TILES, **KNOBS), 0)


@pytest.fixture(scope="module")
def on():
    return crops_of(sampler_of(TILES, **KNOBS, **PAIRED), 0)


def numbers_with_a_partner(found):
    return torch.nonzero(found.paired.flatten(1).any(dim=1)).flatten().tolist()


def test_every_fourth_crop_is_the_partner_of_the_one_before_and_no_other_crop_changes(off, on):
    assert [1, 5, 9, 13, 17, 21, 25, 29] == numbers_with_a_partner(on)
    kept = [number for number in range(32) if number % 4 != 1]
    assert_equal([plane[kept] for plane in off], [plane[kept] for plane in on])


def test_a_pair_shows_one_spot_in_two_exposures(on):
    for number in numbers_with_a_partner(on):
        seen = on.paired[number]
        assert seen.float().mean() > 0.5
        first, second = on.image[number - 1 : number + 1, 0]
        assert not torch.equal(first, second)
        assert (first - second)[seen].abs().mean() < 2  # the surface varies by 14 grey levels
        assert torch.equal(on.label[number - 1].unique(), on.label[number].unique())
        differing = (on.label[number - 1] != on.label[number]) & seen
        assert differing.sum() < 20  # at the spot's edge


def test_each_crop_of_a_pair_has_the_type_of_its_own_photograph():
    crack, fray = (tile(1, 1, SPOT, defect_type=name, moves=((0, 0), (4, -3))) for name in ("Crack", "Fray"))
    samples = [crack[0], fray[1], *tile(2, 2)]
    found = crops_of(sampler_of(samples, **KNOBS | {"train__free_share": 0.0}, **PAIRED), 0)
    pairs = {(int(found.label[n - 1].max()), int(found.label[n].max())) for n in numbers_with_a_partner(found)}
    assert {(3, 4), (4, 3)} == pairs - {(0, 0)}


def test_a_pair_shares_no_pixel_outside_either_image():
    large = KNOBS | {"train__crop_size": 224, "train__scale": [1.0, 1.0], "train__rotation": 0.0}
    found = crops_of(sampler_of(TILES, **large, **PAIRED), 0)
    assert numbers_with_a_partner(found)
    for number in numbers_with_a_partner(found):
        rows, columns = (int(found.paired[number].any(dim=axis).sum()) for axis in (1, 0))
        assert rows < HEIGHT  # the two images begin at different rows and columns
        assert columns < WIDTH
        assert rows * columns == found.paired[number].sum()


def test_each_crop_of_a_pair_has_its_own_exposure_and_noise():
    exposed = KNOBS | {"train__gain": [0.5, 2.0], "train__noise": 3.0}
    found = crops_of(sampler_of(TILES, **exposed, **PAIRED), 0)
    ratios = [
        (found.image[n, 0][found.paired[n]].mean() / found.image[n - 1, 0][found.paired[n]].mean()).item()
        for n in numbers_with_a_partner(found)
    ]
    assert max(ratios) > 1.2
    assert min(ratios) < 0.8


@pytest.mark.parametrize(
    "samples",
    [
        [plain("Crack", defective=True, name="1"), plain("Free", name="2")],
        [*tile(1, 1, SPOT, defect_type="Crack")[:1], *tile(2, 2)[:1]],
        [*tile(1, 1, SPOT, defect_type="Crack")[:1], *[a_sample(s.image, s.mask, name=s.entry.name, tile="2")
          for seed in (2, 3) for s in tile(seed, seed)[:1]]],
    ],
    ids=["plain", "photographed once", "not registered"],
)  # fmt: skip
def test_a_tile_without_a_registered_sibling_is_drawn_as_without_pairs(samples):
    assert_equal(crops_of(sampler_of(samples, **KNOBS), 0), crops_of(sampler_of(samples, **KNOBS, **PAIRED), 0))


def test_a_sibling_that_shows_too_little_of_a_crop_is_no_partner():
    apart = [
        *tile(1, 1, SPOT, defect_type="Crack", moves=((0, 0), (28, 28))),
        *tile(2, 2, moves=((0, 0), (28, -28))),
    ]
    large = KNOBS | {"train__crop_size": 224, "train__scale": [1.0, 1.0], "train__rotation": 0.0}
    assert [] == numbers_with_a_partner(crops_of(sampler_of(apart, **large, **PAIRED), 0))


def test_a_crop_with_an_added_defect_has_no_partner():
    pasted = {"train__pasted_share": 1.0, "train__free_share": 0.0, "train__scale": [1.0, 1.0]}
    found = crops_of(sampler_of(TILES, **KNOBS | pasted, **PAIRED), 0)
    assert found.label.any()
    assert not any(found.label[n - 1].any() for n in numbers_with_a_partner(found))
    synthetic = KNOBS | {"train__free_share": 1.0, "train__synthetic_share": 1.0}
    found = crops_of(sampler_of(TILES, **synthetic, **PAIRED), 0)
    assert found.label.any()
    assert not any(found.label[n - 1].any() for n in numbers_with_a_partner(found))


def test_pairs_depend_on_seed_epoch_and_number_alone(on):
    assert_equal(on, crops_of(sampler_of(TILES, **KNOBS, **PAIRED), 0))
    assert_equal(on, crops_of(sampler_of(TILES, **KNOBS | {"train__batch_size": 16}, **PAIRED), 0))
    assert not torch.equal(on.image, crops_of(sampler_of(TILES, **KNOBS, **PAIRED), 1).image)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_every_batch_in_pairs_and_together_see_all_of_it(on, processes):
    sampler = sampler_of(TILES, **KNOBS, **PAIRED)
    shares = [list(sampler.batches(0, process=process, processes=processes)) for process in range(processes)]
    for number in range(4):
        twos = [Crops(*(plane.unflatten(0, (-1, 2)) for plane in share[number])) for share in shares]
        whole = [torch.stack(planes, dim=1).flatten(0, 2) for planes in zip(*twos, strict=True)]
        assert_equal([plane[8 * number : 8 * number + 8] for plane in on], whole)


def test_with_consensus_a_target_is_the_share_of_masks_and_a_label_marks_more_than_half(monkeypatch):
    monkeypatch.setattr("training.dataset.consensus.doubtful_images", list)
    larger = (slice(SPOT[0].start - 20, SPOT[0].stop + 20), SPOT[1])
    masks = [mask_of(SPOT), mask_of(larger, moved=(4, -3)), mask_of(larger, moved=(-5, 2))]
    samples = [
        a_sample(s.image, mask, defect_type="Crack", name=s.entry.name, tile="1")
        for s, mask in zip(TILES, masks, strict=False)
    ] + TILES[3:]
    knobs = KNOBS | {"train__free_share": 0.0, "train__rotation": 0.0, "train__scale": [1.0, 1.0]}
    found = crops_of(sampler_of(samples, **knobs, train__consensus=True), 0)
    assert torch.equal(found.target > 0.5, found.label == 3)
    shares = (found.target * 3).round()
    exact = (found.target * 3 - shares).abs() < 0.05
    assert {0, 2, 3} <= set(shares[exact].int().unique().tolist())
    assert exact.float().mean() > 0.9  # all but the pixels at an edge, which are between


def test_without_consensus_nobody_is_registered(monkeypatch):
    monkeypatch.setattr(crops, "register_tiles", None)  # to call it would fail
    sampler_of(TILES, **KNOBS)
