"""The segmentation network: what it is made of, and how its six logits are read.

Class 0 is background, class k is DEFECT_TYPES[k - 1]. The softmax over all six factors exactly into "is it a defect?"
and "given a defect, which type?"; losses and the served wrapper both use that factorisation.
"""

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from tiles import DEFECT_TYPES
from training.errors import TrainingError
from training.params import TrainParams


def build_network(params: TrainParams, *, pretrained: bool = True) -> nn.Module:
    """Build the U-Net of params.train.

    Shapes: (N, 1, H, W) float32, normalised, H and W multiples of 32 → logits (N, 6, H, W).
    Source: Ronneberger et al. 2015 (U-Net), Tan & Le 2019 (EfficientNet); weights of timm through the model hub.
    Raises: TrainingError, when the pretrained weights can't be had.
    """
    imagenet = True if params.encoder.startswith("tu-") else "imagenet"  # how smp asks timm for its default weights
    try:
        network: nn.Module = smp.Unet(
            params.encoder,
            encoder_weights=imagenet if pretrained and params.encoder_weights else None,
            in_channels=1,  # the pretrained first layer is summed over its three
            decoder_channels=tuple(params.decoder_channels),
            classes=1 + len(DEFECT_TYPES),
        )
    except OSError as error:
        raise TrainingError(
            f"the ImageNet weights of {params.encoder} can't be had from the model hub ({error}): check the network, "
            "point HF_HOME at a cache that holds them, or set train.encoder_weights to null"
        ) from None
    return network


def defect_logit(logits: Tensor) -> Tensor:
    """Return the log-odds of "any defect type" against background.

    Shapes: (N, 6, H, W) → (N, H, W).
    """
    return torch.logsumexp(logits[:, 1:], dim=1) - logits[:, 0]


def type_logits(logits: Tensor) -> Tensor:
    """Return the logits of the defect types given that there is a defect.

    Shapes: (N, 6, H, W) → (N, 5, H, W).
    """
    return logits[:, 1:]
