"""How far an image lies from the training tiles: the served tensor `novelty`, larger where the image is less like them.

An image is described by means and spreads of the encoder's early features and by its size. The descriptions of the
training images have a normal distribution, and the novelty is the distance from it.

Source: Lee et al. 2018 (Mahalanobis distance of features), Tipping & Bishop 1999 (probabilistic PCA).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from training.errors import TrainingError

# Of the encoder's features, those at the strides 4 and 8: deeper ones are alike for any exposure, and fit the training
# tiles closer
PLACES = slice(2, 4)
FARTHEST = 100.0  # standard deviations along one axis: keeps squares within the range of float16


class Novelty(nn.Module):
    """The distance of a description from the training images', in standard deviations.

    Along `axes` the spread of the training images was measured. What lies across them has one spread in all directions.
    The distance is the root of the mean square along the axes plus the mean square across them.

    Shapes: (N, D) float32, as `describe` returns it → (N, 1) float32.
    """

    mean: Tensor
    scale: Tensor
    axes: Tensor
    spread: Tensor
    residual_spread: Tensor

    def __init__(self, dimensions: int, axes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))
        self.register_buffer("axes", torch.zeros(dimensions, axes))
        self.register_buffer("spread", torch.ones(axes))
        self.register_buffer("residual_spread", torch.ones(1))

    def forward(self, description: Tensor) -> Tensor:
        """Measure a batch."""
        deviation = ((description - self.mean) / self.scale).clamp(-FARTHEST, FARTHEST)
        along = deviation @ self.axes  # (N, axes)
        across = deviation - along @ self.axes.T  # (N, D)
        squares = _mean_square(along / self.spread) + _mean_square(across / self.residual_spread)
        return squares.sqrt()


def _mean_square(deviations: Tensor) -> Tensor:
    within = deviations.clamp(-FARTHEST, FARTHEST)
    return (within * within).mean(dim=1, keepdim=True)  # ONNX Runtime takes three times as long for the power


def with_constants(constants: Mapping[str, Tensor]) -> Novelty:
    """Return the module with these constants.

    Raises: TrainingError, when they are not its constants.
    """
    try:
        novelty = Novelty(*constants["axes"].shape)
        novelty.load_state_dict(constants)
    except (KeyError, RuntimeError, TypeError) as error:
        raise TrainingError(f"these are no constants of the novelty: {error}") from None
    return novelty.eval()


def describe(image: Tensor, features: Sequence[Tensor]) -> Tensor:
    """Describe a batch by mean and spread of each plane of features, and by the logarithms of height and width.

    Shapes: image (N, 1, H, W) float32, features as the encoder gives them, of strides 1, 2, 4, … → (N, D) float32.
    """
    planes = [moment for each in features[PLACES] for moment in mean_and_spread(each.float())]
    return torch.cat([*planes, size_of(image)], dim=1)


def mean_and_spread(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each plane. Shapes: (N, C, H, W) → two of (N, C)."""
    mean = planes.mean(dim=(2, 3), keepdim=True)
    deviation = planes - mean
    variance = (deviation * deviation).mean(dim=(2, 3))
    return mean.flatten(1), variance.sqrt()


def size_of(image: Tensor) -> Tensor:
    """Return the logarithms of height and width. Counted pixels keep a graph from asking for shapes.

    Shapes: (N, 1, H, W) → (N, 2).
    """
    height, width = (torch.ones_like(line).sum(dim=2) for line in (image[:, :, :, 0], image[:, :, 0, :]))
    return torch.cat([height, width], dim=1).log()
