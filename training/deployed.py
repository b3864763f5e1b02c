"""The network as it is served: grey bytes in, probability and type as bytes out; nothing outside repeats any of it."""

import torch
from torch import Tensor, nn

from training.network import defect_logit, type_logits

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of the encoder's pretraining, as timm and torchvision state them
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalise(nn.Module):
    """Grey values to what the encoder was pretrained on.

    Shapes: (N, 1, H, W) of any number type, 0–255 → (N, 3, H, W) float32.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Normalise, the one channel becoming three."""
        return (image.float() - self.mean) / self.std


class DeployedSegmenter(nn.Module):
    """The served function.

    Shapes: image (N, 1, H, W) uint8, 0–255, H and W multiples of 32 → probability (N, 1, H, W) uint8, P(defect) · 255
    rounded, and type (N, 1, H, W) uint8, 1–5, the most likely defect type where there is one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Segment a batch."""
        logits = self.network(self.normalise(image))
        probability = torch.round(255 * torch.sigmoid(defect_logit(logits)))
        defect_type = 1 + type_logits(logits).argmax(dim=1)
        return probability.to(torch.uint8).unsqueeze(1), defect_type.to(torch.uint8).unsqueeze(1)
