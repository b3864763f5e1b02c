"""The segmentation network: what it is made of, and how its logits are read.

Class 0 is background, class k is the dataset's k-th defect type. The softmax over all factors exactly into "is it a
defect?" and "given a defect, which type?"; losses and the served function both use that factorisation.
"""

import huggingface_hub.constants
import torch
from safetensors import SafetensorError
from segmentation_models_pytorch.base import initialization
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from tiles import DEFECT_TYPES
from training.errors import TrainingError
from training.params import NetworkParams

CLASSES = 1 + len(DEFECT_TYPES)  # of the published dataset


class Segmenter(nn.Module):
    """A U-Net whose decoder ends at half resolution; there its head gives each position the logits of four pixels.

    The encoder has no features at full resolution: a last decoder stage there would cost a quarter of all
    multiplications and could only smooth.

    Shapes: (N, 1, H, W) float32, normalised, H and W multiples of 32 → logits (N, classes, H, W).
    Source: Ronneberger et al. 2015 (U-Net), Tan & Le 2019 (EfficientNet), Shi et al. 2016 (sub-pixel convolution).
    """

    def __init__(self, params: NetworkParams, weights: bool | str | None, classes: int) -> None:
        super().__init__()
        self.classes = classes
        # only if wanted: not all of timm's encoders have stochastic depth
        depth = {"drop_path_rate": params.drop_path} if params.drop_path else {}
        # The pretrained first layer is summed over its three input channels.
        self.encoder = get_encoder(params.encoder, in_channels=1, weights=weights, **depth)
        channels = params.decoder_channels
        self.decoder = UnetDecoder(self.encoder.out_channels, channels, n_blocks=len(channels))
        self.head = nn.Sequential(nn.Conv2d(channels[-1], 4 * classes, kernel_size=3, padding=1), nn.PixelShuffle(2))
        initialization.initialize_decoder(self.decoder)
        initialization.initialize_head(self.head)

    def forward(self, image: Tensor) -> Tensor:
        """Segment a batch."""
        features = self.encoder(image)  # a list: (N, C, H / s, W / s) at strides s of 1, 2, 4, 8, 16, 32
        # (N, C, H / 2, W / 2) → (N, 4 · classes, H / 2, W / 2) → (N, classes, H, W)
        logits: Tensor = self.head(self.decoder(features))
        return logits


def build_network(params: NetworkParams, *, classes: int = CLASSES, pretrained: bool = True) -> Segmenter:
    """Build the network. classes: background and the defect types.

    Raises: TrainingError, when the pretrained weights cannot be downloaded or are damaged.
    """
    imagenet = True if params.encoder.startswith("tu-") else "imagenet"  # how smp asks timm for its default weights
    try:
        return Segmenter(params, imagenet if pretrained and params.encoder_weights else None, classes)
    except OSError as error:
        raise TrainingError(
            f"the ImageNet weights of {params.encoder} could not be downloaded ({error}): check the network, "
            "point HF_HOME at a cache that has them, or set train.encoder_weights to null"
        ) from None
    except SafetensorError as error:
        raise TrainingError(
            f"the ImageNet weights of {params.encoder} are damaged ({error}): delete their folder in "
            f"{huggingface_hub.constants.HF_HUB_CACHE}, and run again to download them"
        ) from None


def defect_logit(logits: Tensor) -> Tensor:
    """Return the log-odds of "any defect type" against background.

    Shapes: (N, classes, H, W) → (N, H, W).
    """
    return torch.logsumexp(logits[:, 1:], dim=1) - logits[:, 0]


def type_logits(logits: Tensor) -> Tensor:
    """Return the logits of the defect types given that there is a defect.

    Shapes: (N, classes, H, W) → (N, classes - 1, H, W).
    """
    return logits[:, 1:]
