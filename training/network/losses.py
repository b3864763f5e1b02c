"""What training minimises: three losses, of the defect (cross-entropy and Dice), of the image and of the type.

Per-pixel cross-entropy over six classes does not learn the types of small defects, because they have few pixels. So the
defect is learned against background, and the type over the defect pixels, with equal weight for each image.
A false alarm of 30 pixels hardly counts either, but costs a whole image: the image's loss sees the few pixels that
decide whether the image is defective.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor

from tiles.operating_point import SCORE_PIXELS
from training.network.segmenter import defect_logit, type_logits

SMOOTH = 1.0  # pixels: keeps the Dice of a nearly empty mask from jumping


def segmentation_loss_with_logits(logits: Tensor, label: Tensor, *, type_weight: float, image_weight: float) -> Tensor:
    """Return the scalar loss of a batch.

    Shapes: logits (N, classes, H, W) float; label (N, H, W) int64: 0 on background, from 1 the defect type → scalar.
    """
    logits, mask = logits.float(), (label > 0).float()
    defect = defect_logit(logits)  # (N, H, W)
    pixels = defect_loss_with_logits(defect, mask) + type_weight * type_loss_with_logits(type_logits(logits), label)
    return pixels + image_weight * image_loss_with_logits(defect, mask)


def defect_loss_with_logits(logit: Tensor, mask: Tensor) -> Tensor:
    """Return cross-entropy + Dice pooled over the batch + Dice averaged over its defective images.

    Shapes: logit (N, H, W) float, mask (N, H, W) float 0 or 1.
    """
    cross_entropy = nnf.binary_cross_entropy_with_logits(logit, mask)
    probability = torch.sigmoid(logit)
    overlap = (probability * mask).sum(dim=(1, 2))  # (N,) soft counts of pixels
    total = (probability + mask).sum(dim=(1, 2))
    pooled = 1 - (2 * overlap.sum() + SMOOTH) / (total.sum() + SMOOTH)
    each = 1 - (2 * overlap + SMOOTH) / (total + SMOOTH)
    defective = mask.amax(dim=(1, 2))  # (N,) 0 or 1
    image_mean = (each * defective).sum() / defective.sum().clamp(min=1)
    return cross_entropy + 0.5 * (pooled + image_mean)


def image_loss_with_logits(logit: Tensor, mask: Tensor) -> Tensor:
    """Return the cross-entropy of "is there a defect?", judged by the mean logit of the pixels that make the score.

    In a defective image only pixels of the defect count, so that the loss raises no pixel outside it.
    Shapes: logit (N, H, W) float, mask (N, H, W) float 0 or 1.
    """
    defective = mask.amax(dim=(1, 2))
    # sound pixels of defective images: (N, H, W)
    elsewhere = (mask == 0) & (defective > 0)[:, None, None]
    highest = logit.masked_fill(elsewhere, -torch.inf).flatten(1).topk(min(SCORE_PIXELS, logit[0].numel())).values
    taken = highest.isfinite()  # (N, SCORE_PIXELS): a small defect has fewer pixels
    mean = torch.where(taken, highest, 0).sum(dim=1) / taken.sum(dim=1)
    return nnf.binary_cross_entropy_with_logits(mean, defective)


def type_loss_with_logits(logits: Tensor, label: Tensor) -> Tensor:
    """Return the type's cross-entropy, averaged over the defect pixels of each image, then over defective images.

    Shapes: logits (N, types, H, W) float, label (N, H, W) int64; background pixels do not count.
    """
    mask = (label > 0).float()
    # cross_entropy counts classes from 0, labels count types from 1: (N, H, W)
    pixel = nnf.cross_entropy(logits, (label - 1).clamp(min=0), reduction="none") * mask
    count = mask.sum(dim=(1, 2))
    each = pixel.sum(dim=(1, 2)) / count.clamp(min=1)
    return each.sum() / (count > 0).sum().clamp(min=1)
