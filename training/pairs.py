"""An image and its mask: read, checked against each other, and written into data/tiles."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tiles import DecodeError, decode_image, decode_mask, encode_mask_png
from training.errors import DatasetError
from training.params import DataLoadParams

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class File(NamedTuple):
    """Bytes, and the name by which an error calls them."""

    name: str
    content: bytes


def read_image(image: File, params: DataLoadParams) -> np.ndarray:
    """Decode an image.

    Shapes: (H, W) uint8.
    Raises: DatasetError, naming the file.
    """
    try:
        return decode_image(image.content, max_pixels=params.max_pixels)
    except DecodeError as error:
        raise DatasetError(f"{image.name}: {error}") from None


def read_mask(mask: File, tile: np.ndarray, params: DataLoadParams) -> np.ndarray:
    """Decode a tile's mask.

    Shapes: (H, W) bool, as the tile's.
    Raises: DatasetError, naming the file.
    """
    try:
        truth = decode_mask(mask.content, above=params.mask_above, max_pixels=params.max_pixels)
    except DecodeError as error:
        raise DatasetError(f"{mask.name}: {error}") from None
    if tile.shape != truth.shape:
        raise DatasetError(f"{mask.name}: the mask is {truth.shape[::-1]} pixels, its image {tile.shape[::-1]}")
    return truth


def make_folders(folder: Path) -> None:
    """Make the folders that `write_pair` writes into."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)


def write_pair(name: str, image: bytes, mask: np.ndarray, folder: Path) -> None:
    """Write the image's bytes as they are, and its mask. Shape: mask (H, W) bool."""
    suffix = "png" if image.startswith(PNG_SIGNATURE) else "jpg"
    (folder / "images" / f"{name}.{suffix}").write_bytes(image)
    (folder / "masks" / f"{name}.png").write_bytes(encode_mask_png(mask))
