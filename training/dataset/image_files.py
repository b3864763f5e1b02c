"""An image and its mask: read, checked against each other, and written into a folder like data/tiles."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tiles import DecodeError, ImageTooLargeError, Picture, decode_mask, encode_mask_png
from tiles import read_image as read_picture
from training.errors import DatasetError
from training.params import DataLoadParams

SUFFIXES = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"II*\0": "tif", b"MM\0*": "tif", b"BM": "bmp"}  # by first bytes


class File(NamedTuple):
    """A file's bytes, and its name for error messages."""

    name: str
    content: bytes


def read_image(image: File, params: DataLoadParams) -> Picture:
    """Decode an image, and remark on what it is.

    Raises: DatasetError, naming the file.
    """
    try:
        return read_picture(image.content, max_pixels=params.max_pixels)
    except ImageTooLargeError as error:
        raise DatasetError(f"{image.name}: {error}, or raise data_load.max_pixels") from None
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
            f"{mask.name}: the mask has {truth.shape[::-1]} pixels, but its image has {image.shape[::-1]}: "
            "draw it on this very image, neither scaled nor cropped"
        )
    return truth


def pixel_digest(pixels: np.ndarray) -> bytes:
    """Return a digest of an image or a mask: equal pixels have the same."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()


def make_folders(folder: Path) -> None:
    """Make the folders that `write_image_and_mask` writes into."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)


def write_image_and_mask(name: str, image: bytes, mask: np.ndarray, folder: Path) -> None:
    """Write the image's bytes as they are, and its mask.

    Shapes: mask (H, W) bool.
    """
    suffix = next(suffix for signature, suffix in SUFFIXES.items() if image.startswith(signature))
    (folder / "images" / f"{name}.{suffix}").write_bytes(image)
    mask_file(folder, name).write_bytes(encode_mask_png(mask))


def image_file(folder: Path, name: str) -> Path:
    """Return where a folder like data/tiles keeps an image."""
    paths = [folder / "images" / f"{name}.{suffix}" for suffix in SUFFIXES.values()]
    return next((path for path in paths if path.is_file()), paths[0])


def mask_file(folder: Path, name: str) -> Path:
    """Return where a folder like data/tiles keeps an image's mask."""
    return folder / "masks" / f"{name}.png"
