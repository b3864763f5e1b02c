"""What may be wrong with an own photograph and its mask although each file is sound: refused where it is certain.

What only a person can judge is a warning. Each message names the file and what to do.
"""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from tiles import Picture
from training.dataset.image_files import File, read_image, read_mask
from training.dataset.index import FREE
from training.dataset.table import OwnImage
from training.errors import DatasetError
from training.params import DataLoadParams

PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG", b"\xff\xd8"
NOISE = 16  # grey levels: what is darker in a JPEG mask comes from JPEG
FAINT = 64  # grey levels: a photograph that is darker everywhere has 14 bits, or little light
LARGE = 0.5  # share of an image


class Truth(NamedTuple):
    """A photograph, its mask, and what a person should look at. Shapes: image (H, W) uint8, mask (H, W) bool."""

    image: np.ndarray
    mask: np.ndarray
    warnings: list[str]


def read_truth(own: OwnImage, params: DataLoadParams) -> Truth:
    """Decode a row's photograph and mask.

    Raises: DatasetError, naming the file and what to do.
    """
    photograph = read_image(own.image, params)
    if dark := _remark(photograph, "dark-16-bit"):
        raise DatasetError(f"{own.image.name}: {dark}")
    doubts = _of_several_pages(own.image, photograph) + _faint(own.image, photograph.image)
    if own.mask is None:
        warnings = doubts + ([_turned(own.image)] if _remark(photograph, "exif-orientation") else [])
        return Truth(photograph.image, np.zeros(photograph.image.shape, bool), warnings)
    drawn = read_image(own.mask, params)
    if (orientation := _remark(photograph, "exif-orientation")) != _remark(drawn, "exif-orientation"):
        raise DatasetError(_turned(own.image if orientation else own.mask))
    mask = read_mask(own.mask, photograph.image, params)
    _refuse_copy(own)
    _refuse_transparency(own.mask, drawn.image, mask)
    _refuse_wrong_type(own, drawn, mask, params)
    _refuse_inverted(own.mask, mask)
    doubts += _of_several_pages(own.mask, drawn)
    return Truth(photograph.image, mask, doubts + _doubts(own.mask, drawn.image, mask))


def is_marked(mask: bytes, drawn: Picture, params: DataLoadParams) -> bool:
    """Return whether a mask marks anything, if only in class numbers that are below data_load.mask_above."""
    dimmest = min(_dimmest(mask), params.mask_above + 1)
    return bool((drawn.image >= dimmest).any() or _remark(drawn, "dark-16-bit"))


def _dimmest(mask: bytes) -> int:
    """Return the lowest grey level that somebody may have drawn."""
    return NOISE if mask.startswith(JPEG_SIGNATURE) else 1


def _remark(picture: Picture, code: str) -> str:
    """Return what was remarked of the file under this code; empty if nothing was."""
    return next((remark.detail for remark in picture.remarks if remark.code == code), "")


def _of_several_pages(file: File, picture: Picture) -> list[str]:
    """Return the warning that only one of a file's pages was read, if there are several."""
    return [f"{file.name}: {said}"] if (said := _remark(picture, "several-pages")) else []


def _faint(image: File, grey: np.ndarray) -> list[str]:
    """Return the warning that a photograph is nearly black, as 14 bits of 16 are, if it is."""
    if (brightest := int(grey.max())) >= FAINT:
        return []
    return [
        f"{image.name}: its brightest pixel has grey value {brightest} of 255: is it so dark? Scale 14-bit values by 4"
    ]


def _turned(image: File) -> str:
    return (
        f"{image.name}: its EXIF orientation is not applied, so a mask that was drawn upright does not fit: turn the "
        f'pixels (magick "{image.name}" -auto-orient "{image.name}"), or remove the tag if the mask fits the stored '
        f'pixels (exiftool -Orientation= "{image.name}")'
    )


def _refuse_copy(own: OwnImage) -> None:
    if own.mask and own.mask.content == own.image.content:
        raise DatasetError(
            f"{own.mask.name}: the mask is a copy of the photograph: draw a mask, white where the image is defective"
        )


def _refuse_transparency(mask: File, grey: np.ndarray, truth: np.ndarray) -> None:
    """Refuse a mask that paints invisible pixels, or says something in its transparency alone."""
    if not mask.content.startswith(PNG_SIGNATURE):
        return
    with Image.open(io.BytesIO(mask.content)) as opened:
        if not opened.has_transparency_data:
            return
        alpha = np.asarray(opened.convert("RGBA"))[..., 3]
    if (truth & (alpha == 0)).any() or (grey.min() == grey.max() and alpha.min() != alpha.max()):
        raise DatasetError(
            f"{mask.name}: the mask's shape is in its transparency, which is ignored: make it black and white "
            f'(magick "{mask.name}" -alpha extract "{mask.name}")'
        )


def _refuse_wrong_type(own: OwnImage, drawn: Picture, truth: np.ndarray, params: DataLoadParams) -> None:
    """Refuse an empty mask of a defective image, and a defect on a Free one."""
    if not own.mask or truth.any() == (own.defect_type != FREE):
        return
    rule = f"pixel brighter than {params.mask_above} (data_load.mask_above)"
    if own.defect_type == FREE:
        raise DatasetError(
            f"{own.mask.name}: the mask has a {rule}, but its image is called {FREE}: give the image a defect type, "
            "or an empty mask"
        )
    brightest = int(drawn.image.max())
    hint = "; if its values are class numbers, set data_load.mask_above to 0" if brightest else ""
    if dark := _remark(drawn, "dark-16-bit"):
        hint = f"; {dark}"
    raise DatasetError(
        f"{own.mask.name}: the mask has no {rule}, its brightest has {brightest}: draw defects in white, or call the "
        f"image {FREE}{hint}"
    )


def _refuse_inverted(mask: File, truth: np.ndarray) -> None:
    """Refuse a mask whose defect is most of the image and its whole edge, but not all of it."""
    edges = (truth[0], truth[-1], truth[:, 0], truth[:, -1])
    if truth.mean() > LARGE and all(edge.all() for edge in edges) and not truth.all():
        raise DatasetError(
            f"{mask.name}: the mask looks inverted, {truth.mean():.0%} of it is defective and so is its whole edge: "
            f'draw the defect in white on black (magick "{mask.name}" -negate "{mask.name}")'
        )


def _doubts(mask: File, grey: np.ndarray, truth: np.ndarray) -> list[str]:
    doubts = []
    if truth.mean() > LARGE:
        doubts.append(
            f"{mask.name}: the mask covers {truth.mean():.0%} of the image: is white the defect? If so, it is right"
        )
    if (dim := int(((grey >= _dimmest(mask.content)) & ~truth).sum())) > truth.sum():
        doubts.append(
            f"{mask.name}: {dim} pixels are grey and do not count, {truth.sum()} are bright and do: lower "
            "data_load.mask_above if the grey ones are defects; a mask is black and white, not a photograph"
        )
    return doubts
