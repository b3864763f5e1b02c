"""Where a crop lies on its image, and what it shows there."""

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from tiles.canvas import STRIDE
from training.dataset.samples import Sample
from training.params import TrainParams

TURNED_SHARE = 0.5  # of the crops; the others are upright, as nearly all tiles are


def draw_transform(sample: Sample, params: TrainParams, rng: np.random.Generator) -> np.ndarray:
    """Return the (2, 3) matrix from the crop's pixel offsets (x, y from its centre) to the image's pixels."""
    angle = np.deg2rad(rng.uniform(-params.rotation, params.rotation)) * (rng.random() < TURNED_SHARE)
    scale = np.exp(rng.uniform(*np.log(params.scale)))
    mirror = np.diag(rng.choice([-1, 1], size=2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = _draw_centre(sample, params.crop_size / scale / 2, params.defect_centred_share, rng)
    return np.column_stack([turn @ mirror / scale, centre])  # (2, 2) and (2,) → (2, 3)


def _draw_centre(sample: Sample, half: float, defect_centred_share: float, rng: np.random.Generator) -> np.ndarray:
    """Return (x, y) of the crop's centre, in pixels from the first pixel's: near a defect or anywhere.

    half: of the crop's side, in pixels of the image.
    """
    height, width = sample.mask.shape
    if sample.mask.any() and rng.random() < defect_centred_share:
        pixels = np.flatnonzero(sample.mask)
        y, x = divmod(int(pixels[rng.integers(len(pixels))]), width)
        x, y = x + rng.uniform(-half, half) * 0.75, y + rng.uniform(-half, half) * 0.75
    else:
        x, y = rng.uniform(0, width - 1), rng.uniform(0, height - 1)
    return np.array([_place(x, half, width, rng), _place(y, half, height, rng)])


def _place(position: float, half: float, length: int, rng: np.random.Generator) -> float:
    """Return the crop's centre along one side: inside the image or, if the crop is longer, at one of its ends.

    Many defects lie at an end of a tile. A canvas begins where its image does and extends beyond it by less than a
    stride. So do these crops: half of them begin exactly at the image's end.
    """
    if length > 2 * half:
        return min(max(position, half - 0.5), length - half - 0.5)
    margin = min(rng.uniform(0, STRIDE), 2 * half - length) * (rng.random() < 0.5)  # noqa: PLR2004 - half of them
    centre = half - 0.5 - margin
    return centre if rng.random() < 0.5 else length - 1 - centre  # noqa: PLR2004 - either end


def warp(planes: Tensor, matrix: np.ndarray, size: int) -> Tensor:
    """Sample a crop bilinearly; beyond the image its edge pixels are repeated, as `tiles.pad` does.

    Shapes: planes (N, H, W), matrix (2, 3) → (N, size, size).
    """
    height, width = planes.shape[1:]
    offsets = torch.arange(size) - (size - 1) / 2  # pixels from the crop's centre
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")  # (size, size) each
    m = matrix.astype(np.float32)
    # pixel centres in grid_sample's coordinates: -1 and 1 are the image's outer edges
    grid_x = (m[0, 0] * x + m[0, 1] * y + m[0, 2] + 0.5) * 2 / width - 1
    grid_y = (m[1, 0] * x + m[1, 1] * y + m[1, 2] + 0.5) * 2 / height - 1
    grid = torch.stack([grid_x, grid_y], dim=-1)[None]  # (1, size, size, 2)
    return nnf.grid_sample(planes[None], grid, padding_mode="border", align_corners=False)[0]
