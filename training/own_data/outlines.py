"""Outlines and run lengths, as labelling tools write them → masks. All coordinates are pixels, x before y."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from skimage import draw

CENTRE = 0.5  # of a pixel, from its corner; scikit-image counts from the centre of the first


def polygon(points: Sequence[float], height: int, width: int) -> np.ndarray:
    """Return the pixels whose centres are in a polygon. Shapes: x0, y0, x1, y1, … → (H, W) bool."""
    corners = np.asarray(points, float).reshape(-1, 2)[:, ::-1] - CENTRE
    return np.asarray(draw.polygon2mask((height, width), corners), bool)


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], rotation: float, height: int, width: int
) -> np.ndarray:
    """Return the pixels whose centres are in an ellipse. rotation: degrees clockwise. Shapes: (H, W) bool."""
    mask = np.zeros((height, width), bool)
    (x, y), (along, across) = centre, radii
    counter_clockwise = -np.deg2rad(rotation)
    inside = draw.ellipse(y - CENTRE, x - CENTRE, across, along, shape=mask.shape, rotation=counter_clockwise)
    mask[inside] = True
    return mask


def coco_runs(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Return the mask of COCO's run lengths, a list or compressed: down the columns. Shapes: (H, W) bool."""
    counts = segmentation["counts"]
    return row_runs(_unpacked(counts) if isinstance(counts, str) else counts, width, height).T


def _unpacked(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed form.

    Source: maskApi.c of cocoapi, rleFrString: five bits a character, lowest first, a sixth for "more follow", and the
    highest of them is the sign; from the fourth length on, the difference from the last but one.
    """
    counts: list[int] = []
    number, bits = 0, 0
    for character in text:
        code = ord(character) - 48
        number |= (code & 0x1F) << bits
        bits += 5
        if code & 0x20:
            continue
        if code & 0x10:
            number -= 1 << bits
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))  # noqa: PLR2004 - the third is the last absolute
        number, bits = 0, 0
    return counts


def row_runs(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """Return the mask of run lengths along the rows, of background first. Shapes: (H, W) bool.

    Raises: ValueError, when they are of an image of another size.
    """
    if sum(counts) != height * width:
        raise ValueError("its run lengths are of an image of another size")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(height, width)


def brush(packed: Sequence[int], height: int, width: int) -> np.ndarray:
    """Return the mask of a stroke of Label Studio's brush: an RGBA image whose alpha is the stroke.

    Shapes: (H, W) bool.
    Source: @thi.ng/rle-pack, the format's own library: a head, then runs of one word and sequences of several.
    """
    bits = _Bits(packed)
    size, word = bits.read(32), bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    values, at = np.zeros(size, np.uint8), 0
    while at < size:
        is_run, length = bits.read(1), 1 + bits.read(lengths[bits.read(2)])
        values[at : at + length] = bits.read(word) if is_run else [bits.read(word) for _ in range(length)]
        at += length
    return np.asarray(values.reshape(height, width, 4)[..., 3] > 0)


class _Bits:
    """Reads whole numbers from bytes, the highest bit first."""

    def __init__(self, packed: Sequence[int]) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in packed)
        self._at = 0

    def read(self, bits: int) -> int:
        self._at += bits
        return int(self._bits[self._at - bits : self._at], 2)
