"""What the network is trained on: augmented crops near native resolution, drawn evenly over the tiles of a type.

Crop number i of epoch e depends on the seed, e and i alone. A resumed run therefore sees exactly what an uninterrupted
one sees, without any saved sampler state.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from training.dataset.index import FREE
from training.dataset.samples import Sample
from training.errors import DatasetError
from training.fitting.geometry import draw_transform, warp
from training.params import TrainParams

PASTED = ("Blowhole", "Break", "Crack")  # Uneven is as large as a tile, Fray belongs to its edge
LARGEST_PASTED = 0.05  # share of a crop's pixels: larger defects do not look the same on another tile
LARGEST_CONTRAST = 0.25  # of the surroundings, standard deviation ÷ mean; at a tile's edge it is higher
PASTED_STRENGTH = (0.6, 1.2)  # times the defect's own contrast, so that the network also sees weaker ones
PASTED_RIM = 8  # pixels, even; about as many pixels around a defect are moved with it


class Crops(NamedTuple):
    """One crop or, with a leading N in each shape, the crops of a batch.

    Attributes:
        image: (1, S, S) float32, grey values 0–255.
        label: (S, S) int64, 0 on background, from 1 the defect type.
    """

    image: Tensor
    label: Tensor


class CropSampler:
    """Draws the batches of an epoch.

    Raises: DatasetError, when the samples have no defective image or no Free one.
    """

    def __init__(self, samples: list[Sample], params: TrainParams, seed: int) -> None:
        self._params, self._seed = params, seed
        self._by_type: dict[str, list[list[Sample]]] = _group(samples)
        self._defects = sorted(set(self._by_type) - {FREE})
        tiles = np.array([len(self._by_type[name]) for name in self._defects])  # (types,) int64
        self._shares = (
            np.sqrt(tiles) / np.sqrt(tiles).sum()
        )  # between equal shares for each type and equal shares for each tile
        if FREE not in self._by_type or not self._defects:
            raise DatasetError("training needs images with and without a defect: look into data/split.csv")

    def batches(self, epoch: int, *, process: int = 0, processes: int = 1) -> Iterator[Crops]:
        """Yield crops_per_epoch // batch_size batches; of several processes each takes an equal share of each batch."""
        for number in range(self.batches_per_epoch):
            yield self.batch(epoch, number, process=process, processes=processes)

    @property
    def batches_per_epoch(self) -> int:
        """Number of whole batches."""
        return self._params.crops_per_epoch // self._params.batch_size

    def batch(self, epoch: int, number: int, *, process: int, processes: int) -> Crops:
        """Return one process's share of a batch."""
        size = self._params.batch_size
        numbers = range(number * size + process, (number + 1) * size, processes)
        crops = [self._crop(np.random.default_rng([self._seed, epoch, each])) for each in numbers]
        return Crops(*map(torch.stack, zip(*crops, strict=True)))

    def _crop(self, rng: np.random.Generator) -> Crops:
        defect_type = FREE if rng.random() < self._params.free_share else rng.choice(self._defects, p=self._shares)
        sample = self._draw(defect_type, rng)
        image, mask = self._view(sample, rng)
        if defect_type in PASTED and rng.random() < self._params.pasted_share and 0 < mask.mean() < LARGEST_PASTED:
            background = self._view(self._draw(FREE, rng), rng)[0]
            image = paste(image, mask, background, strength=rng.uniform(*PASTED_STRENGTH))
        image = _expose(image, self._params, rng)
        noise = rng.uniform(0, self._params.noise) * rng.standard_normal(image.shape, dtype=np.float32)
        return Crops((image + torch.from_numpy(noise)).clamp(0, 255), mask[0].long() * sample.type_number)

    def _draw(self, defect_type: str, rng: np.random.Generator) -> Sample:
        tiles = self._by_type[defect_type]
        exposures = tiles[rng.integers(len(tiles))]
        return exposures[rng.integers(len(exposures))]

    def _view(self, sample: Sample, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw a crop of the image, grey values, and of its mask, 0 or 1. Shapes: (1, S, S) float32 both."""
        planes = torch.from_numpy(np.stack([sample.image, sample.mask]).astype(np.float32))  # (2, H, W)
        matrix = draw_transform(sample, self._params, rng)
        image, mask = warp(planes, matrix, self._params.crop_size)[:, None]  # (2, S, S) → twice (1, S, S)
        return image, (mask > 0.5).float()  # noqa: PLR2004 - mostly covered


def paste(image: Tensor, mask: Tensor, background: Tensor, *, strength: float) -> Tensor:
    """Move the defect of one crop onto another and adapt its brightness; its rim fades over a few pixels.

    A small defect looks much the same on any tile, and there are far more tiles without one. But where the surroundings
    in either crop are not plain, as at a tile's edge, a patch would be visible: there the image stays as it is.
    Source: Ghiasi et al. 2021 (copy-paste augmentation).
    Shapes: (1, S, S) float32 all; mask 0 or 1, not empty. strength: times the defect's contrast.
    """
    # the mask, grown by PASTED_RIM on all sides: (1, S, S)
    rows = nnf.max_pool2d(mask, (2 * PASTED_RIM + 1, 1), stride=1, padding=(PASTED_RIM, 0))
    near = nnf.max_pool2d(rows, (1, 2 * PASTED_RIM + 1), stride=1, padding=(0, PASTED_RIM))
    # 1 on the defect, falling to 0 over PASTED_RIM pixels: (1, S, S)
    share = nnf.avg_pool2d(near, PASTED_RIM + 1, stride=1, padding=PASTED_RIM // 2, count_include_pad=False)
    surroundings = (near > 0) & (mask == 0)
    old, new = image[surroundings], background[surroundings]  # (pixels,) each
    if max(float(grey.std() / grey.mean().clamp(min=1)) for grey in (old, new)) > LARGEST_CONTRAST:
        return image
    contrast = image / old.mean().clamp(min=1) - 1
    moved = new.mean() * (1 + strength * contrast).clamp(min=0)
    return background + share * (moved - background)


def _group(samples: list[Sample]) -> dict[str, list[list[Sample]]]:
    """Return {type: [exposures of one tile, …]}, so that a tile weighs the same however often it was photographed.

    An image that is filed under a defect type but has an empty mask is left out: its label may be wrong.
    """
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.entry.defect_type == FREE or sample.mask.any():
            groups[sample.entry.defect_type, sample.entry.tile].append(sample)
    by_type: dict[str, list[list[Sample]]] = defaultdict(list)
    for (defect_type, _), exposures in sorted(groups.items()):
        by_type[defect_type].append(exposures)
    return dict(by_type)


def _expose(image: Tensor, params: TrainParams, rng: np.random.Generator) -> Tensor:
    """Change the exposure of grey values 0–255 of any shape, not clipped before the noise is added."""
    gamma, gain = (np.exp(rng.uniform(*np.log(bounds))) for bounds in (params.gamma, params.gain))
    return 255 * float(gain) * (image / 255) ** float(gamma)
