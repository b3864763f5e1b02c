"""What a pixel's own surroundings do not show: its whole row and column, and the whole image.

The inside of a large smooth defect looks like any smooth surface, and where an image is doubtful as a whole, no pixel
says so. Both modules start without effect.
"""

import torch
from segmentation_models_pytorch.base.modules import Conv2dReLU
from torch import Tensor, nn

STRIP = 3  # places along a row or column that one step of the strip's convolution sees
HIDDEN = 64  # values between the two layers of the image head
MOST_EVIDENCE = 4.0  # log-odds: an image may make its pixels 55 times as likely or unlikely, and no more


class StripContext(nn.Module):
    """Adds to each place what its row, its column and the whole image show on average.

    Shapes: features (N, C, H, W) → the same.
    Source: Hou et al. 2020 (strip pooling).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.reduce = Conv2dReLU(channels, inner, kernel_size=1)
        self.along_column = nn.Conv2d(inner, inner, (STRIP, 1), padding=(STRIP // 2, 0))
        self.along_row = nn.Conv2d(inner, inner, (1, STRIP), padding=(0, STRIP // 2))
        self.whole = nn.Conv2d(inner, inner, kernel_size=1)
        self.expand = nn.Conv2d(inner, channels, kernel_size=1)
        _start_at_zero(self.expand)

    def forward(self, features: Tensor) -> Tensor:
        """Add the context to a batch."""
        local = self.reduce(features)
        rows = self.along_column(local.mean(dim=3, keepdim=True))  # (N, inner, H, 1)
        columns = self.along_row(local.mean(dim=2, keepdim=True))  # (N, inner, 1, W)
        whole = self.whole(local.mean(dim=(2, 3), keepdim=True))  # (N, inner, 1, 1)
        added: Tensor = self.expand(torch.relu(local + rows + columns + whole))
        return features + added


class ImageHead(nn.Module):
    """The image's own log-odds of a defect, which every pixel's are shifted by.

    Shapes: the encoder's deepest features (N, C, H / 32, W / 32) → (N, 1, 1, 1), within ± MOST_EVIDENCE.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # linear layers, as the quantizer takes the last convolution for the end of the network
        self.layers = nn.Sequential(nn.Linear(2 * channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
        _start_at_zero(self.layers[-1])

    def forward(self, features: Tensor) -> Tensor:
        """Judge a batch."""
        found = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)  # (N, 2 C)
        evidence = MOST_EVIDENCE * torch.tanh(self.layers(found) / MOST_EVIDENCE)
        return evidence[:, :, None, None]


def _start_at_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
