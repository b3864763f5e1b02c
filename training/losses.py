"""What training minimises: the defect's own loss (cross-entropy and Dice) and the type's, kept apart.

Per-pixel cross-entropy over six classes does not learn the types of small defects, whose pixels hardly weigh. So the
defect is learned against background, and the type over the defect pixels of each image with equal weight per image.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor

from training.network import defect_logit, type_logits

SMOOTH = 1.0  # pixels: keeps the Dice of a nearly empty mask from jumping


def segmentation_loss_with_logits(logits: Tensor, label: Tensor, *, type_weight: float) -> Tensor:
    """Return the scalar loss of a batch.

    Shapes: logits (N, 6, H, W) float; label (N, H, W) int64, 0 background, 1–5 defect type.
    """
    logits = logits.float()
    mask = (label > 0).float()
    return defect_loss_with_logits(defect_logit(logits), mask) + type_weight * type_loss_with_logits(
        type_logits(logits), label
    )


def defect_loss_with_logits(logit: Tensor, mask: Tensor) -> Tensor:
    """Return cross-entropy + Dice pooled over the batch + Dice averaged over its defective images.

    Shapes: logit (N, H, W) float, mask (N, H, W) float 0 or 1.
    """
    cross_entropy = nnf.binary_cross_entropy_with_logits(logit, mask)
    probability = torch.sigmoid(logit)
    overlap = (probability * mask).sum(dim=(1, 2))
    total = (probability + mask).sum(dim=(1, 2))
    pooled = 1 - (2 * overlap.sum() + SMOOTH) / (total.sum() + SMOOTH)
    each = 1 - (2 * overlap + SMOOTH) / (total + SMOOTH)
    defective = mask.amax(dim=(1, 2))
    image_mean = (each * defective).sum() / defective.sum().clamp(min=1)
    return cross_entropy + 0.5 * (pooled + image_mean)


def type_loss_with_logits(logits: Tensor, label: Tensor) -> Tensor:
    """Return the type's cross-entropy, averaged over the defect pixels of each image, then over defective images.

    Shapes: logits (N, 5, H, W) float, label (N, H, W) int64; background pixels do not count.
    """
    mask = (label > 0).float()
    pixel = nnf.cross_entropy(logits, (label - 1).clamp(min=0), reduction="none") * mask
    count = mask.sum(dim=(1, 2))
    each = pixel.sum(dim=(1, 2)) / count.clamp(min=1)
    return each.sum() / (count > 0).sum().clamp(min=1)
