"""The deployed network as it is exported: the same function in fewer operators, none of which asks for a shape.

A canvas's sides are multiples of 32, so that what torch works out for any image is known beforehand: how much "same"
padding adds, and that each decoder stage doubles its input. And what follows the head needs no neighbours: it is done
for the four pixels of each place at half resolution, whose bytes are spread last.
"""

import copy

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from training.deployed import normalise
from training.network import Segmenter


class ExportedSegmenter(nn.Module):
    """The served function, as `DeployedSegmenter` states it; the stage export compares both on every test image.

    The network that is given stays as it is.
    """

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        own = copy.deepcopy(network).eval()
        _fix_padding(own.encoder)
        for place, block in enumerate(own.decoder.blocks):
            own.decoder.blocks[place] = _DoublingBlock(block)
        self.encoder, self.decoder = own.encoder, own.decoder
        self.convolution, self.spread = own.head
        self.classes = own.classes

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Segment a batch."""
        logits = self.convolution(self.decoder(self.encoder(normalise(image))))
        logits = logits.unflatten(1, (self.classes, -1))  # (N, classes, 4, H / 2, W / 2)
        background, types = logits[:, 0], logits[:, 1:]
        highest = types.amax(dim=1)
        # ONNX Runtime computes exponential and logarithm eight at a time, its ReduceLogSumExp one by one
        defect = highest + (types - highest.unsqueeze(1)).exp().sum(dim=1).log()
        probability = torch.round(255 * torch.sigmoid(defect - background)).to(torch.uint8)
        defect_type = (1 + types.argmax(dim=1)).to(torch.uint8)
        return self.spread(probability), self.spread(defect_type)


class _DoublingBlock(nn.Module):
    """A decoder stage whose output is twice as high and wide as its input, whatever size it is asked for."""

    def __init__(self, block: UnetDecoderBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = block.conv1, block.conv2

    def forward(
        self, feature_map: Tensor, target_height: int, target_width: int, skip_connection: Tensor | None = None
    ) -> Tensor:
        """Double, join what the encoder saw at that size, and smooth. The names are those that the decoder calls."""
        del target_height, target_width  # the double, as both sides are multiples of 32
        doubled = functional.interpolate(feature_map, scale_factor=2.0, mode="nearest")
        joined = doubled if skip_connection is None else torch.cat([doubled, skip_connection], dim=1)
        smoothed: Tensor = self.conv2(self.conv1(joined))
        return smoothed


def _fix_padding(encoder: nn.Module) -> None:
    for name, module in list(encoder.named_modules()):
        if isinstance(module, Conv2dSame) and module.stride == (2, 2) and module.dilation == (1, 1):
            encoder.set_submodule(name, _HalvingConvolution(module))


class _HalvingConvolution(nn.Module):
    """A "same" convolution of stride 2 whose input has even sides: what is added around them is known beforehand.

    Source: TensorFlow's "same" padding, kernel - stride rows and columns in all, the odd one at the end.
    """

    def __init__(self, same: Conv2dSame) -> None:
        super().__init__()
        height, width = (size - 2 for size in same.kernel_size)
        self.padding = (width // 2, width - width // 2, height // 2, height - height // 2)
        self.weight, self.bias, self.groups = same.weight, same.bias, same.groups

    def forward(self, features: Tensor) -> Tensor:
        """Halve a batch of features."""
        padded = functional.pad(features, self.padding)
        return functional.conv2d(padded, self.weight, self.bias, stride=2, groups=self.groups)
