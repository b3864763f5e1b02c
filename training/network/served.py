"""The network as it is served: grey bytes in, probability and defect type as bytes out.

Validation, parity, export and service all compute this one function; nothing outside repeats any of it.
"""

import torch
from torch import Tensor, nn

from training.network.novelty import Novelty, describe
from training.network.segmenter import Segmenter

MEAN = STD = 0.5 * 255  # as timm's tf_efficientnet_lite encoders were pretrained, by their configuration


def normalise(image: Tensor) -> Tensor:
    """Scale grey values to what the encoder was pretrained on.

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
        self.image_head = network.image_head
        self.classes = network.classes

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Segment a batch."""
        return self.segment(self.encoder(normalise(image)))

    def segment(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Segment a batch whose features are known."""
        logits = self.convolution(self.decoder(features))  # (N, 4 · classes, H / 2, W / 2)
        logits = logits.unflatten(1, (self.classes, -1))  # (N, classes, 4, H / 2, W / 2)
        background, types = logits[:, 0], logits[:, 1:]
        highest = types.amax(dim=1)  # (N, 4, H / 2, W / 2)
        # logsumexp, written out: ONNX Runtime computes exp and log eight values at a time, ReduceLogSumExp one by one
        defect = highest + (types - highest.unsqueeze(1)).exp().sum(dim=1).log()
        logit = defect - background
        if self.image_head is not None:  # after the last convolution, where every precision keeps float32
            logit = logit + self.image_head(features[-1])
        probability = torch.round(255 * torch.sigmoid(logit)).to(torch.uint8)
        defect_type = (1 + types.argmax(dim=1)).to(torch.uint8)
        return self.spread(probability), self.spread(defect_type)  # (N, 4, H / 2, W / 2) → (N, 1, H, W)


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
