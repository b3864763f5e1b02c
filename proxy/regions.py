"""A mask → its connected regions: what a client calls the defects of an image.

Every figure is computed for all regions at once: a mask of speckles has thousands.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cc3d
import numpy as np

from tiles.operating_point import LEVELS, SCORE_PIXELS

CONNECTIVITY = 8  # pixels that touch at a corner belong together


class Box(NamedTuple):
    """The smallest rectangle around a region, in pixels."""

    x: int
    y: int
    width: int
    height: int


class Region(NamedTuple):
    """One connected region.

    Attributes:
        label: its number in `Regions.labels`, from 1.
        type_number: the defect type of most of its pixels, counted from 1.
        score: 0–1, the mean of its 32 highest probabilities, or of all if there are fewer.
        area: pixels.
        box: around it.
        centroid: x and y, the mean of its pixels' places.
    """

    label: int
    type_number: int
    score: float
    area: int
    box: Box
    centroid: tuple[float, float]


class Regions(NamedTuple):
    """All regions of a mask, the highest score first, and which pixel belongs to which.

    Shapes: labels (h, w), 0 where no region is; its first pixel is the image's pixel (left, top).
    """

    found: Sequence[Region]
    labels: np.ndarray
    top: int
    left: int


def find_regions(mask: np.ndarray, probability: np.ndarray, defect_type: np.ndarray) -> Regions:
    """Find the regions of a mask.

    Shapes: all (H, W); bool, uint8 (P(defect) · 255) and uint8 (counted from 1). The mask has at least one pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    around = np.s_[top : rows[-1] + 1, left : columns[-1] + 1]
    inside = np.ascontiguousarray(mask[around])
    # cc3d 4.1.1 labels pixels outside of a mask that is bool
    labels, count = cc3d.connected_components(inside.view(np.uint8), connectivity=CONNECTIVITY, return_N=True)
    statistics = cc3d.statistics(labels, no_slice_conversion=True)
    places = labels[inside]  # (defective pixels,)
    types = _majorities(places, defect_type[around][inside], count)
    scores = _scores(places, probability[around][inside], count)
    areas = statistics["voxel_counts"][1:].tolist()
    boxes = statistics["bounding_boxes"][1:].tolist()  # first and last row, first and last column
    centroids = (statistics["centroids"][1:] + (top, left)).round(1).tolist()
    found = [
        Region(label, types[place], scores[place], areas[place],
               Box(left + x0, top + y0, x1 - x0 + 1, y1 - y0 + 1), (centroids[place][1], centroids[place][0]))
        for place, (label, (y0, y1, x0, x1)) in enumerate(enumerate(boxes, 1))
    ]  # fmt: skip
    found.sort(key=lambda each: (-each.score, -each.area, each.box.y, each.box.x))
    return Regions(found, labels, top, left)


def _majorities(labels: np.ndarray, types: np.ndarray, count: int) -> list[int]:
    """Return the most frequent type of each label, the lowest of equals. Shapes: both (defective pixels,)."""
    most = int(types.max()) + 1
    votes = np.bincount((labels.astype(np.int64) - 1) * most + types, minlength=count * most)
    majorities: list[int] = votes.reshape(count, most).argmax(axis=1).tolist()
    return majorities


def _scores(labels: np.ndarray, levels: np.ndarray, count: int) -> list[float]:
    """Return each label's mean of its SCORE_PIXELS highest levels, as 0–1. Shapes: both (defective pixels,)."""
    keys = np.sort((labels.astype(np.int64) << 8) + (LEVELS - levels))  # by label, the highest level first
    sizes = np.bincount(labels, minlength=count + 1)[1:]
    ranks = np.arange(len(keys)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    highest = keys[ranks < SCORE_PIXELS]
    sums = np.bincount(highest >> 8, weights=LEVELS - (highest & LEVELS), minlength=count + 1)[1:]
    scores: list[float] = (sums / np.minimum(sizes, SCORE_PIXELS) / LEVELS).round(4).tolist()
    return scores
