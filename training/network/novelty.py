"""How far an image lies from the training tiles: the served tensor `novelty`, larger where the image is less like them.

Three descriptions are compared with those of the training images: what the encoder sees, the canvas's size, and its
grey values. Each has a normal distribution. An image is as novel as the least likely of its descriptions.

Source: Lee et al. 2018 (Mahalanobis distance of features), Tipping & Bishop 1999 (probabilistic PCA).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

DESCRIPTIONS = ("features", "size", "greys")
STRIDES = (16, 32)  # of the features that are described; the encoder's last two
FARTHEST = 100.0  # standard deviations along one axis: keeps squares within the range of float16


class Normal(nn.Module):
    """The distance of a description from a normal distribution, in standard deviations along each axis.

    Along the `axes` the variance was measured; across them it is the same everywhere, and the residual counts as one
    axis for each dimension that is left.

    Shapes: (N, D) float32 → (N,) float32: the root of the mean square over D axes, divided by `limit`.
    """

    def __init__(self, dimensions: int, axes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))
        self.register_buffer("axes", torch.zeros(dimensions, axes))
        self.register_buffer("spread", torch.ones(axes))
        self.register_buffer("residual_spread", torch.ones(1))
        self.register_buffer("limit", torch.ones(1))

    def forward(self, description: Tensor) -> Tensor:
        """Measure a batch."""
        deviation = ((description - self.mean) / self.scale).clamp(-FARTHEST, FARTHEST)
        along = deviation @ self.axes  # (N, axes)
        across = (deviation - along @ self.axes.T) / self.residual_spread  # (N, D)
        squares = [_mean_square(along / self.spread), _mean_square(across)]
        return (squares[0] + squares[1]).sqrt() / self.limit


class Novelty(nn.Module):
    """The novelty of an image, from its normalised grey values and its features: the largest of the distances.

    Shapes: image (N, 1, H, W) float32, features as Segmenter's encoder gives them → (N, 1) float32.
    """

    def __init__(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.normals = nn.ModuleDict({name: Normal(*sizes[name]) for name in DESCRIPTIONS})

    def forward(self, image: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Measure a batch."""
        found = describe(image, features)
        return torch.stack([self.normals[name](found[name]) for name in DESCRIPTIONS], dim=1).amax(dim=1, keepdim=True)


def describe(image: Tensor, features: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the descriptions of a batch, each (N, D) float32."""
    deepest = [each.float() for each in features[-len(STRIDES) :]]
    return {
        "features": torch.cat([moment for each in deepest for moment in mean_and_spread(each)], dim=1),
        "size": size_of(image),
        "greys": torch.cat(mean_and_spread(image), dim=1),
    }


def _mean_square(deviations: Tensor) -> Tensor:
    return deviations.clamp(-FARTHEST, FARTHEST).square().mean(dim=1)


def mean_and_spread(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each plane. Shapes: (N, C, H, W) → two of (N, C)."""
    mean = planes.mean(dim=(2, 3), keepdim=True)
    variance = (planes - mean).square().mean(dim=(2, 3))
    return mean[:, :, 0, 0], variance.sqrt()


def size_of(image: Tensor) -> Tensor:
    """Return the logarithms of height and width, which a graph computes from the image's pixels.

    Shapes: (N, 1, H, W) → (N, 2).
    """
    height = torch.ones_like(image[:, :, :, 0]).sum(dim=2)
    width = torch.ones_like(image[:, :, 0, :]).sum(dim=2)
    return torch.cat([height, width], dim=1).log()


def empty_novelty(constants: Mapping[str, Tensor]) -> Novelty:
    """Return a module with room for these constants.

    Raises: KeyError, when some are missing.
    """
    axes = {name: constants[f"normals.{name}.axes"].shape for name in DESCRIPTIONS}
    return Novelty({name: (shape[0], shape[1]) for name, shape in axes.items()})
