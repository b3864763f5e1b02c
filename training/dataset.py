"""The dataset in memory: all tiles of one part, decoded once (the whole dataset is 156 megapixels)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiles import DEFECT_TYPES, decode_image, decode_mask
from training.data_split import read_index, read_split
from training.errors import DatasetError
from training.index import FREE, TILES_FOLDER, Entry, image_file
from training.params import Params


@dataclass(frozen=True)
class Sample:
    """One image with its truth. tile: (H, W) uint8, 0–255; mask: (H, W) bool; types: of its dataset, in their order."""

    entry: Entry
    tile: np.ndarray
    mask: np.ndarray
    types: tuple[str, ...] = DEFECT_TYPES

    @property
    def type_number(self) -> int:
        """The class of the image's type: from 1, and 0 for Free, whose images have no defect pixel."""
        return 0 if self.entry.type == FREE else 1 + self.types.index(self.entry.type)

    @property
    def label(self) -> np.ndarray:
        """(H, W) uint8: 0 background, from 1 on the defect type of the image."""
        return self.mask.astype(np.uint8) * self.type_number


def load_part(part: str, params: Params, split: Mapping[str, str] | None = None) -> list[Sample]:
    """Load the samples of `train`, `validation` or `test`, ordered by image.

    split: {image: part}, that of data/split.csv unless given.
    Raises: DatasetError, when the part is empty.
    """
    parts = read_split() if split is None else split
    samples = [_load(entry, params, TILES_FOLDER) for entry in read_index() if parts[entry.image] == part]
    if not samples:
        raise DatasetError(
            f"no image is in the part {part}: look into data/split.csv, or change data_split in params.yaml"
        )
    return samples


def _load(entry: Entry, params: Params, folder: Path) -> Sample:
    limit = params.data_load.max_pixels
    tile = decode_image(image_file(folder, entry.image).read_bytes(), max_pixels=limit)
    mask = decode_mask((folder / "masks" / f"{entry.image}.png").read_bytes(), above=127, max_pixels=limit)
    return Sample(entry, tile, mask, tuple(params.data_load.types))
