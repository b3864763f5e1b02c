"""Deep supervision: while a network with context trains, two small heads predict the defect's mask at coarse strides.

The heads are no part of the network: they are neither averaged nor stored with it, nor served.
Source: Lee et al. 2015 (deeply-supervised nets).
"""

from collections.abc import Sequence

import torch.nn.functional as nnf
from torch import Tensor, nn

from training.network.segmenter import Segmenter
from training.params import NetworkParams

WEIGHTS = (0.2, 0.1)  # of the heads' losses, at the strides 16 and 32


class SupervisedSegmenter(nn.Module):
    """A network and, if it has context, the heads; what the optimizer trains.

    Shapes: as Segmenter's → logits, and those of the coarse masks: (N, H / 16, W / 16) and (N, H / 32, W / 32), or
    none.
    """

    def __init__(self, network: Segmenter, params: NetworkParams) -> None:
        super().__init__()
        self.network = network
        channels = [params.decoder_channels[0], network.encoder.out_channels[-1]] if params.context else []
        self.heads = nn.ModuleList(nn.Conv2d(count, 1, kernel_size=1) for count in channels)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Segment a batch."""
        seen: list[Tensor] = []  # at stride 16
        features = self.network.encoder(image)
        with self.network.decoder.blocks[0].register_forward_hook(lambda *call: seen.append(call[-1])):
            logits = self.network.decode(features)
        coarse = zip(self.heads, (seen[0], features[-1]), strict=False)  # without context there is no head
        return logits, [head(deep).squeeze(1) for head, deep in coarse]


def supervision_loss_with_logits(coarse: Sequence[Tensor], mask: Tensor) -> Tensor | float:
    """Return the heads' weighted cross-entropy; the target is the defect's share of each coarse place.

    Shapes: coarse as SupervisedSegmenter gives them, mask (N, H, W) float, 0–1 → scalar, 0 without heads.
    """
    losses = [_coarse_loss(logit.float(), mask) for logit in coarse]
    return sum((weight * loss for weight, loss in zip(WEIGHTS, losses, strict=False)), start=0.0)


def _coarse_loss(logit: Tensor, mask: Tensor) -> Tensor:
    stride = mask.shape[-1] // logit.shape[-1]
    return nnf.binary_cross_entropy_with_logits(logit, nnf.avg_pool2d(mask, stride))
