"""The baseline's training crops: 224 × 224 pixels of scaled defective images, distorted as fastai does by default.

Crop number i of epoch e depends only on the seed, e and i, so that a resumed run sees what an uninterrupted one sees.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from PIL import Image
from torch import Tensor

from studies.baseline.recipe import Recipe
from studies.literature import CENTRE_CROP, resize, scaled_size
from training.dataset.index import FREE
from training.dataset.samples import Sample
from training.errors import DatasetError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels, 0–1
SMALLEST_GREY = 1e-6  # keeps black and white finite when brightness and contrast change the logit


@dataclass(frozen=True)
class Scaled:
    """One image, its shorter side 224. image: (H, W) uint8, 0–255; mask: (H, W) uint8, 0 or 1."""

    image: np.ndarray
    mask: np.ndarray


def scale(image: np.ndarray, mask: np.ndarray) -> Scaled:
    """Scale an image smoothly, and its mask to the nearest pixel. Shapes: (H, W) uint8, (H, W) bool."""
    size = scaled_size(*image.shape)
    return Scaled(resize(image, *size), resize(mask.astype(np.uint8), *size, Image.Resampling.NEAREST))


def normalise(crop: Tensor) -> Tensor:
    """Return three channels on ImageNet's scale. Shapes: (N, S, S) float32, 0–1 → (N, 3, S, S) float32."""
    mean, std = (torch.tensor(values, device=crop.device).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (crop.unsqueeze(1) - mean) / std


class BaselineCrops:
    """The batches of each epoch.

    Raises: DatasetError, when the defective images do not fill one batch.
    """

    def __init__(self, samples: Sequence[Sample], masks: Mapping[str, np.ndarray], recipe: Recipe, seed: int) -> None:
        defective = [sample for sample in samples if sample.entry.defect_type != FREE]
        self._images = [scale(sample.image, masks[sample.entry.name]) for sample in defective]
        self._recipe, self._seed = recipe, seed
        if len(self._images) < recipe.batch_size:
            raise DatasetError(
                f"the baseline trains on defective images in batches of {recipe.batch_size}, and the fold's train part "
                f"has {len(self._images)}: raise data_split.folds"
            )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each image once, in any order; the last ones that do not fill a batch are left out, as fastai does.

        Shapes: crop (N, S, S) float32, 0–1; mask (N, S, S) int64, 0 or 1.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self))
        size = self._recipe.batch_size
        for first in range(0, len(self) - size + 1, size):
            numbers = order[first : first + size]
            views = [
                view(self._images[i], self._recipe, np.random.default_rng([self._seed, epoch, i])) for i in numbers
            ]
            yield torch.stack([crop for crop, _ in views]), torch.stack([mask for _, mask in views])


def view(image: Scaled, recipe: Recipe, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return a crop anywhere along the longer side, distorted, and its mask.

    Shapes: (S, S) float32, 0–1, and (S, S) int64, 0 or 1.
    """
    top, left = (int(rng.random() * (side - CENTRE_CROP)) for side in image.image.shape)
    window = np.s_[top : top + CENTRE_CROP, left : left + CENTRE_CROP]
    crop, mask = (torch.from_numpy(array[window].astype(np.float32)) for array in (image.image, image.mask))
    angle = math.radians(_drawn(recipe.rotation, recipe.affine_share, rng))
    places = warped_places(angle, *(_drawn(recipe.warp, recipe.affine_share, rng) for _ in range(2)))
    crop = _sample(crop / 255, places, "bilinear")
    return _relight(crop, recipe, rng), _sample(mask, places, "nearest").long()


def warped_places(angle: float, across: float, along: float) -> Tensor:
    """Return where each pixel of a turned and tilted crop comes from: (1, S, S, 2) float32, x and y, -1–1.

    angle: radians; across, along: of the corners, share of half the side.
    """
    turn = [[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    # A tilt turns the square into a trapezoid: one side is longer by this share, the opposite one shorter.
    tilt_across = [[1 - across**2, 0, 0], [0, 1, across], [0, across, 1]]
    tilt_along = [[1, 0, along], [0, 1 - along**2, 0], [along, 0, 1]]
    matrix = torch.tensor(np.array(tilt_along) @ np.array(tilt_across) @ np.array(turn), dtype=torch.float32)
    ends = torch.linspace(-1, 1, CENTRE_CROP)
    y, x = torch.meshgrid(ends, ends, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ matrix.T
    return (places[..., :2] / places[..., 2:]).unsqueeze(0)


def _drawn(largest: float, share: float, rng: np.random.Generator) -> float:
    """Return a random number from -largest to largest in this share of the calls, and 0 in the others."""
    value = largest * rng.uniform(-1, 1)
    return float(value) if rng.random() < share else 0.0


def _sample(plane: Tensor, places: Tensor, mode: str) -> Tensor:
    taken = nnf.grid_sample(plane[None, None], places, mode=mode, padding_mode="reflection", align_corners=True)
    return taken[0, 0]


def _relight(crop: Tensor, recipe: Recipe, rng: np.random.Generator) -> Tensor:
    """Change brightness, then contrast, of the grey values' logits. Shape: (S, S) float32, 0–1."""
    brightness = 0.5 + _drawn(0.5 * recipe.lighting, recipe.lighting_share, rng)
    contrast = math.exp(_drawn(-math.log(1 - recipe.lighting), recipe.lighting_share, rng))
    logit = torch.logit(crop, SMALLEST_GREY) + math.log(brightness / (1 - brightness))
    return torch.sigmoid(logit * contrast)
