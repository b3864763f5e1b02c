"""The images of one part with their masks in memory, decoded once (the whole dataset has 156 megapixels)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiles import DEFECT_TYPES, DecodeError, decode_image, decode_mask
from training.dataset.image_files import image_file, mask_file
from training.dataset.index import FREE, Entry, read_index
from training.dataset.split import read_split
from training.errors import DatasetError
from training.files import SPLIT_FILE, TILES_FOLDER
from training.params import Params

MASK_ABOVE = 127  # the masks in data/tiles are binary: 0 or 255


@dataclass(frozen=True)
class Sample:
    """One image with its true mask.

    Attributes:
        entry: the image's row of the index.
        image: (H, W) uint8, grey values 0–255.
        mask: (H, W) bool, True where defective.
        types: the dataset's defect types, in the order of their classes.
    """

    entry: Entry
    image: np.ndarray
    mask: np.ndarray
    types: tuple[str, ...] = DEFECT_TYPES

    @property
    def type_number(self) -> int:
        """The class of the image's defect type, from 1; 0 for Free, whose images have no defect pixel."""
        return 0 if self.entry.defect_type == FREE else 1 + self.types.index(self.entry.defect_type)


def load_part(part: str, params: Params, split: Mapping[str, str] | None = None) -> list[Sample]:
    """Load the samples of `train`, `validation` or `test`, ordered by image.

    split: {image: part}; by default that of data/split.csv.
    Raises: DatasetError, when the part is empty, or the split is of other images.
    """
    entries, parts = read_index(), read_split() if split is None else split
    if lacking := [entry.name for entry in entries if split is None and entry.name not in parts]:
        raise DatasetError(
            f"{SPLIT_FILE} lacks {len(lacking)} images ({lacking[0]}, for one): run `dvc repro data_split`"
        )
    types = tuple(params.data_load.types)
    samples = [load_sample(entry, types) for entry in entries if parts.get(entry.name) == part]
    if not samples:
        raise DatasetError(
            f"no image is in the part {part}: look into {SPLIT_FILE}, or change data_split in params.yaml"
        )
    return samples


def load_sample(entry: Entry, types: tuple[str, ...] = DEFECT_TYPES, *, folder: Path = TILES_FOLDER) -> Sample:
    """Load one image and its mask.

    Raises: DatasetError, when a file was damaged since data_load wrote it.
    """
    pixels = entry.width * entry.height
    try:
        image = decode_image(image_file(folder, entry.name).read_bytes(), max_pixels=pixels)
        mask = decode_mask(mask_file(folder, entry.name).read_bytes(), above=MASK_ABOVE, max_pixels=pixels)
    except DecodeError as error:
        raise DatasetError(
            f"{folder}: image or mask of {entry.name} cannot be read ({error}): run `dvc repro --force data_load`"
        ) from None
    return Sample(entry, image, mask, types)
