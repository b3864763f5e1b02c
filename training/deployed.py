"""The network as it is served: grey bytes in, probability and type as bytes out; nothing outside repeats any of it."""

import torch
from torch import Tensor, nn

from training.network import defect_logit, type_logits

MEAN = STD = 0.5 * 255  # of the pretraining of timm's tf_efficientnet_lite encoders, as their configuration states it


def normalise(image: Tensor) -> Tensor:
    """Scale grey values to what the encoder was pretrained on.

    Shapes: (N, 1, H, W) of any number type, 0–255 → (N, 1, H, W) float32, -1–1.
    """
    return (image.float() - MEAN) / STD


class DeployedSegmenter(nn.Module):
    """The served function.

    Shapes: image (N, 1, H, W) uint8, 0–255, H and W multiples of 32 → probability (N, 1, H, W) uint8, P(defect) · 255
    rounded, and type (N, 1, H, W) uint8, 1–5, the most likely defect type where there is one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Segment a batch."""
        logits = self.network(normalise(image))
        probability = torch.round(255 * torch.sigmoid(defect_logit(logits)))
        defect_type = 1 + type_logits(logits).argmax(dim=1)
        return probability.to(torch.uint8).unsqueeze(1), defect_type.to(torch.uint8).unsqueeze(1)
