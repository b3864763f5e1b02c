"""An image and its mask: read, checked against each other, and written into a folder like data/tiles."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tiles import DecodeError, decode_image, decode_mask, encode_mask_png
from training.errors import DatasetError
from training.params import DataLoadParams

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class File(NamedTuple):
    """A file's bytes, and its name for error messages."""

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


def read_mask(mask: File, image: np.ndarray, params: DataLoadParams) -> np.ndarray:
    """Decode an image's mask.

    Shapes: image (H, W) uint8 → (H, W) bool.
    Raises: DatasetError, naming the file.
    """
    try:
        truth = decode_mask(mask.content, above=params.mask_above, max_pixels=params.max_pixels)
    except DecodeError as error:
        raise DatasetError(f"{mask.name}: {error}") from None
    if image.shape != truth.shape:
        raise DatasetError(
            f"{mask.name}: the mask has {truth.shape[::-1]} pixels, but its image has {image.shape[::-1]}"
        )
    return truth


def make_folders(folder: Path) -> None:
    """Make the folders that `write_image_and_mask` writes into."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)


def write_image_and_mask(name: str, image: bytes, mask: np.ndarray, folder: Path) -> None:
    """Write the image's bytes as they are, and its mask.

    Shapes: mask (H, W) bool.
    """
    suffix = "png" if image.startswith(PNG_SIGNATURE) else "jpg"
    (folder / "images" / f"{name}.{suffix}").write_bytes(image)
    mask_file(folder, name).write_bytes(encode_mask_png(mask))


def image_file(folder: Path, name: str) -> Path:
    """Return where a folder like data/tiles keeps an image."""
    path = folder / "images" / f"{name}.jpg"
    return path if path.is_file() else path.with_name(f"{name}.png")


def mask_file(folder: Path, name: str) -> Path:
    """Return where a folder like data/tiles keeps an image's mask."""
    return folder / "masks" / f"{name}.png"
