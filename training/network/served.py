"""The network as it is served: grey bytes in, probability and defect type as bytes out.

Validation, parity, export and service all compute this one function; nothing outside repeats any of it.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from training.network.novelty import Novelty, describe
from training.network.segmenter import Segmenter

MEAN = STD = 0.5 * 255  # as timm's tf_efficientnet_lite encoders were pretrained, by their configuration


def normalise(image: Tensor) -> Tensor:
    """Scale grey values to -1–1, as the shipped encoder was pretrained; another adapts by its first normalisation.

    Shapes: (N, 1, H, W) of any number type, 0–255 → (N, 1, H, W) float32, -1–1.
    """
    return (image.float() - MEAN) / STD


class ServedSegmenter(nn.Module):
    """The served function of a network, whose modules it shares.

    At each position of half resolution the head gives four pixels' logits. What follows needs no neighbours, so it
    is done there, and the resulting bytes are spread to full resolution last: a quarter of the memory traffic of
    floats.

    Shapes: image (N, 1, H, W) uint8, 0–255, H and W multiples of 32 → probability (N, 1, H, W) uint8, P(defect) · 255
    rounded, and defect type (N, 1, H, W) uint8, from 1, the most likely type if there is a defect.
    """

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.encoder, self.decoder = network.encoder, network.decoder
        self.convolution, self.spread = network.head
        self.classes = network.classes

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Segment a batch."""
        return self.segment(self.encoder(normalise(image)))

    def segment(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Segment a batch whose features are known."""
        logits = self.convolution(self.decoder(features))  # (N, 4 · classes, H / 2, W / 2)
        background, *types = logits.chunk(self.classes, dim=1)  # each (N, 4, H / 2, W / 2)
        one_and_odds = sum(((logit - background).exp() for logit in types), start=torch.ones(()))
        probability = torch.round(255 - 255 / one_and_odds).to(torch.uint8)  # infinite odds give 255
        return self.spread(probability), self.spread(most_likely(types))  # (N, 4, H / 2, W / 2) → (N, 1, H, W)


def most_likely(types: Sequence[Tensor]) -> Tensor:
    """Return the number of the type with the highest logit, from 1: one more than the running maxima below the last.

    ONNX Runtime compares whole tensors six times as fast as it computes ArgMax.

    Shapes: each (N, 4, H, W) → (N, 4, H, W) uint8.
    """
    maxima = list(accumulate(types, torch.maximum))
    below = [(maximum < maxima[-1]).to(torch.uint8) for maximum in maxima[:-1]]
    return sum(below, start=torch.ones_like(maxima[0], dtype=torch.uint8))


class ServedModel(ServedSegmenter):
    """All that a model answers: the segmentation, and how far the image lies from the training tiles'.

    Shapes: image as ServedSegmenter's → probability, defect type and novelty (N, 1) float32.
    """

    def __init__(self, network: Segmenter, novelty: Novelty) -> None:
        super().__init__(network)
        self.novelty = novelty

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]  # one output more
        """Segment a batch and measure its novelty."""
        grey = normalise(image)
        features = self.encoder(grey)
        return *self.segment(features), self.novelty(describe(grey, features))
