"""The losses: a better prediction scores lower, small defects weigh as much as large ones, nothing becomes infinite."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_data import unhurried

from training.network.losses import (
    defect_loss_with_logits,
    image_loss_with_logits,
    segmentation_loss_with_logits,
    type_loss_with_logits,
)
from training.network.segmenter import defect_logit, type_logits

SHAPE = (2, 16, 16)  # N, H, W
CLASSES = 6


def some_label():
    """A defect of type 3 in the first image and of type 1 in the second."""
    label = torch.zeros(SHAPE, dtype=torch.int64)
    label[0, 2:8, 2:8] = 3
    label[1, 10:13, 4:9] = 1
    return label


def logits_for(label, confidence):
    """Logits that favour the true class of each pixel by `confidence`; a negative one speaks against it."""
    return confidence * torch.nn.functional.one_hot(label, CLASSES).permute(0, 3, 1, 2).float()


def random_logits(spread=1.0, seed=0):
    return spread * torch.randn(SHAPE[0], CLASSES, *SHAPE[1:], generator=torch.Generator().manual_seed(seed))


def total_loss(logits, label):
    return segmentation_loss_with_logits(logits, label, type_weight=0.3, image_weight=0.2)


LOSSES = {
    "segmentation": total_loss,
    "defect": lambda logits, label: defect_loss_with_logits(defect_logit(logits), (label > 0).float()),
    "image": lambda logits, label: image_loss_with_logits(defect_logit(logits), (label > 0).float()),
    "type": lambda logits, label: type_loss_with_logits(type_logits(logits), label),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_every_step_from_wrong_to_right_scores_lower(loss):
    label = some_label()
    scores = [loss(logits_for(label, confidence), label).item() for confidence in (-8, -4, -1, 0, 1, 4, 8)]
    assert all(worse > better for worse, better in pairwise(scores)), scores
    assert scores[-1] < 0.1


def test_more_of_the_defect_found_scores_lower():
    mask = torch.zeros(1, 16, 16)
    mask[:, :, :8] = 1
    scores = []
    for columns in (0, 2, 4, 6, 8):
        found = torch.full((1, 16, 16), -5.0)
        found[:, :, :columns] = 5.0
        scores.append(defect_loss_with_logits(found, mask).item())
    assert all(worse > better for worse, better in pairwise(scores)), scores


def test_fewer_false_alarms_score_lower():
    mask = torch.zeros(1, 16, 16)
    scores = []
    for columns in (16, 8, 4, 1, 0):
        found = torch.full((1, 16, 16), -5.0)
        found[:, :, :columns] = 5.0
        scores.append(defect_loss_with_logits(found, mask).item())
    assert all(worse > better for worse, better in pairwise(scores)), scores


def test_a_small_defect_that_is_missed_costs_nearly_as_much_dice_as_a_large_one():
    found = torch.full((2, 32, 32), -12.0)
    mask = torch.zeros(2, 32, 32)
    mask[0, :16] = 1  # 512 pixels
    mask[1, 0, :8] = 1  # 8 pixels
    losses = []
    for missed in (0, 1):
        logit = torch.where(mask > 0, 12.0, found)
        logit[missed] = -12.0
        pixels = torch.nn.functional.binary_cross_entropy_with_logits(logit, mask)
        losses.append(defect_loss_with_logits(logit, mask) - pixels)
    large, small = losses
    assert 0.5 * 0.5 * 0.85 < small < large  # half the weight, half the images, the smoothing of one pixel


def test_dice_is_twice_the_product_over_the_sum():
    mask = torch.tensor([1.0, 0.0]).expand(1, 16, 2)
    logit = torch.logit(torch.tensor([0.6, 0.3])).expand(1, 16, 2)
    pixels = torch.nn.functional.binary_cross_entropy_with_logits(logit, mask)
    expected = 1 - (2 * 16 * 0.6 + 1) / (16 * (0.6 + 0.3 + 1) + 1)  # pooled and of the only image: half of each
    assert expected == pytest.approx((defect_loss_with_logits(logit, mask) - pixels).item(), rel=1e-5)


def test_the_type_loss_ignores_background_pixels():
    label, logits = some_label(), random_logits()
    changed = torch.where((label > 0).unsqueeze(1), logits, random_logits(50.0, seed=1))
    expected = type_loss_with_logits(type_logits(logits), label)
    torch.testing.assert_close(expected, type_loss_with_logits(type_logits(changed), label))


def test_the_type_loss_weighs_a_small_defects_image_like_a_large_ones():
    label = torch.zeros(SHAPE, dtype=torch.int64)
    label[0], label[1, 5, 5] = 4, 2  # 256 pixels and one
    right, wrong = logits_for(label, 6.0), logits_for(label, -6.0)
    large_wrong = torch.stack([wrong[0], right[1]])
    small_wrong = torch.stack([right[0], wrong[1]])
    expected, actual = (type_loss_with_logits(type_logits(logits), label) for logits in (large_wrong, small_wrong))
    torch.testing.assert_close(expected, actual)
    assert expected > 1


def test_the_type_loss_is_averaged_over_the_defective_images_alone():
    label, logits = some_label(), random_logits()
    expected = type_loss_with_logits(type_logits(logits), label)
    sound = torch.zeros(3, *SHAPE[1:], dtype=torch.int64)
    more = torch.cat([logits, torch.randn(3, CLASSES, *SHAPE[1:])])
    torch.testing.assert_close(expected, type_loss_with_logits(type_logits(more), torch.cat([label, sound])))


def test_each_weight_scales_its_own_part():
    label, logits = some_label(), random_logits()
    defect, defect_type, image = (LOSSES[part](logits, label) for part in ("defect", "type", "image"))
    whole = segmentation_loss_with_logits(logits, label, type_weight=0.7, image_weight=0.2)
    torch.testing.assert_close(defect + 0.7 * defect_type + 0.2 * image, whole)


def test_an_image_is_told_by_its_32_highest_pixels():
    logit = torch.full((1, 16, 16), -9.0)
    logit[0, 3:5] = torch.arange(32).view(2, 16) / 16 - 1
    expected = torch.nn.functional.softplus(logit[0, 3:5].mean())  # of a sound image, were it called defective
    torch.testing.assert_close(expected, image_loss_with_logits(logit, torch.zeros(1, 16, 16)))


@pytest.mark.parametrize("rows", [1, 4])
def test_a_defective_image_is_told_by_its_defect_alone(rows):
    mask = torch.zeros(1, 16, 16)
    mask[0, :rows] = 1  # fewer pixels than the 32, and more
    logit = torch.where(mask > 0, -1.0, 5.0).requires_grad_()
    loss = image_loss_with_logits(logit, mask)
    torch.testing.assert_close(torch.nn.functional.softplus(torch.tensor(1.0)), loss)
    loss.backward()
    assert (logit.grad[mask == 0] == 0).all()
    assert min(32, 16 * rows) == (logit.grad[mask > 0] < 0).sum()


@unhurried
@given(seed=st.integers(0, 2**31), spread=st.floats(0.01, 30))
def test_defect_and_type_logits_factorise_the_softmax(seed, spread):
    logits = random_logits(spread, seed).double()
    softmax = logits.softmax(dim=1)
    defect = torch.sigmoid(defect_logit(logits))
    torch.testing.assert_close(1 - softmax[:, 0], defect)
    torch.testing.assert_close(softmax[:, 1:], defect.unsqueeze(1) * type_logits(logits).softmax(dim=1))


@pytest.mark.parametrize("spread", [0.0, 1.0, 1e4], ids=["equal", "usual", "extreme"])
@pytest.mark.parametrize("label", [torch.zeros(SHAPE, dtype=torch.int64), some_label()], ids=["all empty", "defects"])
def test_loss_and_gradient_are_finite(label, spread):
    logits = random_logits(spread).requires_grad_()
    loss = total_loss(logits, label)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_an_all_empty_batch_teaches_background_and_no_type():
    label = torch.zeros(SHAPE, dtype=torch.int64)
    logits = random_logits().requires_grad_()
    total_loss(logits, label).backward()
    assert (logits.grad[:, 0] < 0).all()
    assert (logits.grad[:, 1:] > 0).all()
    assert LOSSES["type"](logits, label) == 0


def test_bfloat16_logits_are_weighed_in_float32():
    label, logits = some_label(), random_logits(10.0).bfloat16()
    loss = total_loss(logits, label)
    assert torch.float32 == loss.dtype
    torch.testing.assert_close(total_loss(logits.float(), label), loss)
