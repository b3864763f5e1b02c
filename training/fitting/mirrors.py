"""Self-distillation: one pass of the network learns what its moving average finds in a mirror image.

A defect is as likely in a mirror image, so the mean over all mirror images is better than any one of them. But it takes
four passes. Cross-entropy is linear in its target, so drawing one mirror image for each batch teaches the same mean.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from training.network.segmenter import defect_logit

MIRRORS = ((2,), (3,), (2, 3))  # the axes of (N, C, H, W) that are turned round
MIRRORS_START = 1 / 3  # of the steps: a moving average of fewer has little to teach


@torch.no_grad()
def seen_in_a_mirror(network: nn.Module, image: Tensor) -> Tensor:
    """Return the probability of a defect as found in a mirror image; leaves the network in evaluation mode.

    Which one is drawn from torch's own generator.
    Shapes: (N, 1, H, W), normalised → (N, H, W) float32.
    """
    axes = MIRRORS[int(torch.randint(len(MIRRORS), ()))]
    logits: Tensor = network.eval()(image.flip(axes)).flip(axes)
    return torch.sigmoid(defect_logit(logits.float()))


def mirror_loss_with_logits(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of the defect, pixel by pixel.

    Shapes: logits (N, classes, H, W), target (N, H, W) float32, a probability → scalar.
    """
    return nnf.binary_cross_entropy_with_logits(defect_logit(logits.float()), target)
