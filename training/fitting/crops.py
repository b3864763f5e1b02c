"""What the network is trained on: augmented crops near native resolution, drawn evenly over the tiles of a type.

Crop number i of epoch e depends on the seed, e and i alone. A resumed run therefore sees exactly what an uninterrupted
one sees, without any saved sampler state.

With train.consistency_weight, half of the crops make pairs: numbers 1, 5, 9, … show the same spot of the tile as the
crop before, in another exposure. All other crops stay what they are without it.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from training.dataset.consensus import with_consensus
from training.dataset.index import FREE
from training.dataset.samples import Sample
from training.dataset.tile_frames import Frames, between, register_tiles
from training.errors import DatasetError
from training.fitting.geometry import draw_transform, inside, warp
from training.fitting.synthetic import add_defect, find_donors
from training.params import TrainParams

PASTED = ("Blowhole", "Break", "Crack")  # Uneven is as large as a tile, Fray belongs to its edge
LARGEST_PASTED = 0.05  # share of a crop's pixels: larger defects do not look the same on another tile
LARGEST_CONTRAST = 0.25  # of the surroundings, standard deviation ÷ mean; at a tile's edge it is higher
PASTED_STRENGTH = (0.6, 1.2)  # times the defect's own contrast, so that the network also sees weaker ones
PASTED_RIM = 8  # pixels, even; about as many pixels around a defect are moved with it
PAIRS_EVERY = 4  # crops: two of four make a pair
LEAST_COMMON = 0.8  # of what the first crop of a pair shows of its image: the second must not be mostly repeated edge


class Crops(NamedTuple):
    """One crop or, with a leading N in each shape, the crops of a batch.

    Attributes:
        image: (1, S, S) float32, grey values 0–255.
        label: (S, S) int64, 0, the defect type or synthetic.UNKNOWN.
        target: (S, S) float32, how much of the pixel is defective, 0–1; above 0.5 where there is a label.
        paired: (S, S) bool, whether the crop before this one shows the same spot of the tile, in another exposure.
    """

    image: Tensor
    label: Tensor
    target: Tensor
    paired: Tensor


class Place(NamedTuple):
    """Where a crop lies. matrix: (2, 3), from the crop's pixel offsets (x, y from its centre) to the image's pixels."""

    sample: Sample
    matrix: np.ndarray


class CropSampler:
    """Draws the batches of an epoch.

    Raises: DatasetError, when the samples have no defective image or no Free one.
    """

    def __init__(self, samples: list[Sample], params: TrainParams, seed: int) -> None:
        self._params, self._seed = params, seed
        self._frames = register_tiles(samples) if params.consensus or params.consistency_weight else {}
        if params.consensus:
            samples = with_consensus(samples, self._frames)
        self._by_type: dict[str, list[list[Sample]]] = _group(samples)
        self._siblings = _find_siblings(self._by_type, self._frames) if params.consistency_weight else {}
        self._donors = find_donors(samples)
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
        together = 2 if self._siblings else 1  # a pair stays in one process
        numbers = [
            each for each in range(number * size, (number + 1) * size) if each // together % processes == process
        ]
        return Crops(*map(torch.stack, zip(*self._crops(epoch, numbers), strict=True)))

    def _crops(self, epoch: int, numbers: Sequence[int]) -> Iterator[Crops]:
        place = None
        for number in numbers:
            seed = [self._seed, epoch, number]
            crop = self._partner(place, np.random.default_rng(seed)) if number % PAIRS_EVERY == 1 else None
            if crop is None:
                crop, place = self._crop(np.random.default_rng(seed))
            yield crop

    def _crop(self, rng: np.random.Generator) -> tuple[Crops, Place | None]:
        """Draw a crop; return also where it lies, or None if a defect was added to it."""
        defect_type = FREE if rng.random() < self._params.free_share else rng.choice(self._defects, p=self._shares)
        drawn = self._draw(defect_type, rng)
        sample, label = drawn, drawn.type_number
        if defect_type == FREE and self._params.synthetic_share and rng.random() < self._params.synthetic_share:
            sample, label = add_defect(sample, self._donors, rng)
        place = Place(sample, draw_transform(sample, self._params, rng))
        image, target = self._view(place)
        mask, added = (target > 0.5).float(), sample is not drawn  # noqa: PLR2004 - mostly covered
        if defect_type in PASTED and rng.random() < self._params.pasted_share and 0 < mask.mean() < LARGEST_PASTED:
            free = self._draw(FREE, rng)
            background = self._view(Place(free, draw_transform(free, self._params, rng)))[0]
            pasted = paste(image, mask, background, strength=rng.uniform(*PASTED_STRENGTH))
            image, added = pasted, pasted is not image
        return self._light(image, target, label, rng), None if added else place

    def _partner(self, place: Place | None, rng: np.random.Generator) -> Crops | None:
        """Draw what a crop shows in another exposure; None if there is none, or if it shows too little of it."""
        if not place or not (siblings := self._siblings.get(place.sample.entry.name)):
            return None
        sibling = siblings[rng.integers(len(siblings))]
        there = between(self._frames, place.sample.entry.name, sibling.entry.name)
        partner = Place(sibling, there[:2] @ np.vstack([place.matrix, (0, 0, 1)]))
        first, second = (inside(p.sample.image.shape, p.matrix, self._params.crop_size) for p in (place, partner))
        if (first & second).sum() < LEAST_COMMON * first.sum():
            return None
        return self._light(*self._view(partner), sibling.type_number, rng)._replace(paired=first & second)

    def _light(self, image: Tensor, target: Tensor, label: int, rng: np.random.Generator) -> Crops:
        """Return the crop in another exposure and with noise. Shapes: image and target (1, S, S)."""
        image = _expose(image, self._params, rng)
        noise = rng.uniform(0, self._params.noise) * rng.standard_normal(image.shape, dtype=np.float32)
        image = (image + torch.from_numpy(noise)).clamp(0, 255)
        mask = target[0] > 0.5  # noqa: PLR2004 - mostly covered
        return Crops(image, mask.long() * label, target[0], torch.zeros_like(mask))

    def _draw(self, defect_type: str, rng: np.random.Generator) -> Sample:
        tiles = self._by_type[defect_type]
        exposures = tiles[rng.integers(len(tiles))]
        return exposures[rng.integers(len(exposures))]

    def _view(self, place: Place) -> tuple[Tensor, Tensor]:
        """Return a crop of the image, grey values, and of its mask, 0 or 1, or consensus. Shapes: (1, S, S) float32."""
        sample, soft = place.sample, place.sample.consensus
        planes = np.stack([sample.image, sample.mask if soft is None else soft]).astype(np.float32)  # (2, H, W)
        image, target = warp(torch.from_numpy(planes), place.matrix, self._params.crop_size)[:, None]
        return image, (target > 0.5).float() if soft is None else target  # noqa: PLR2004 - mostly covered


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


def _find_siblings(by_type: Mapping[str, list[list[Sample]]], frames: Frames) -> dict[str, list[Sample]]:
    """Return {image: the other photographs of its tile}, of those that are registered."""
    tiles: dict[str, list[Sample]] = defaultdict(list)
    for exposures in itertools.chain(*by_type.values()):
        for sample in exposures:
            if sample.entry.name in frames:
                tiles[sample.entry.tile].append(sample)
    return {one.entry.name: [s for s in tile if s is not one] for tile in tiles.values() for one in tile}


def _expose(image: Tensor, params: TrainParams, rng: np.random.Generator) -> Tensor:
    """Change the exposure of grey values 0–255 of any shape, not clipped before the noise is added."""
    gamma, gain = (np.exp(rng.uniform(*np.log(bounds))) for bounds in (params.gamma, params.gain))
    return 255 * float(gain) * (image / 255) ** float(gamma)
