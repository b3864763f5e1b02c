"""Modules that replace torch's own at export: the same function with fewer operators, and none that reads a shape.

The sides of a canvas are multiples of 32, so what torch computes for any image is known beforehand: how much "same"
padding adds, and that each decoder stage doubles its input.
"""

import copy

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from training.network.served import ServedSegmenter


def with_export_modules(segmenter: ServedSegmenter) -> ServedSegmenter:
    """Return a copy with these modules, in evaluation mode; the stage export compares both on test images."""
    own = copy.deepcopy(segmenter).eval()
    _fix_padding(own.encoder)
    for place, block in enumerate(own.decoder.blocks):
        own.decoder.blocks[place] = _DoublingBlock(block)
    return own


class _DoublingBlock(nn.Module):
    """A decoder stage whose output is twice as high and wide as its input, whatever size it is asked for."""

    def __init__(self, block: UnetDecoderBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = block.conv1, block.conv2

    def forward(
        self, feature_map: Tensor, target_height: int, target_width: int, skip_connection: Tensor | None = None
    ) -> Tensor:
        """Double the size, join the encoder's features of that size, and smooth. The decoder calls with these names."""
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
    """A "same" convolution of stride 2 whose input has even sides, so that its padding is known beforehand.

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
