"""Self-distillation: one pass of the network learns what its moving average finds over the four mirror images.

A defect is as likely in a mirror image, so the mean over the four is better than any one of them. It takes four passes.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from training.network.segmenter import defect_logit

MIRRORS = ((), (2,), (3,), (2, 3))  # the axes of (N, C, H, W) that are turned round
MIRRORS_START = 1 / 3  # of the steps: a moving average of fewer has little to teach


def first_half(batch: Tensor) -> Tensor:
    """Return the crops that are mirrored: half of them, to save time, but at least one."""
    return batch[: (len(batch) + 1) // 2]


@torch.no_grad()
def mean_over_mirrors(network: nn.Module, image: Tensor) -> Tensor:
    """Return the probability of a defect, averaged over the four mirror images; leaves the network in evaluation mode.

    Shapes: (N, 1, H, W), normalised → (N, H, W) float32.
    """
    network.eval()
    found = [network(image.flip(axes)).flip(axes).float() for axes in MIRRORS]
    return torch.stack([torch.sigmoid(defect_logit(logits)) for logits in found]).mean(dim=0)


def mirror_loss_with_logits(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of the defect, pixel by pixel.

    Shapes: logits (N, classes, H, W), target (N, H, W) float32, a probability → scalar.
    """
    return nnf.binary_cross_entropy_with_logits(defect_logit(logits.float()), target)
