"""A mask → its connected regions: what a client calls the defects of an image.

Every figure is computed for all regions at once: a mask of speckles has thousands.
"""

from typing import Literal, NamedTuple

import cc3d
import numpy as np

from tiles.operating_point import LEVELS, SCORE_PIXELS

CONNECTIVITY: Literal[8] = 8  # pixels that touch at a corner belong together
RADIX_LABELS = 2**8


class Box(NamedTuple):
    """The smallest rectangle around a region, in pixels."""

    x: int
    y: int
    width: int
    height: int


class Region(NamedTuple):
    """One connected region.

    Attributes:
        label: its number in `Labels.labels`.
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


class Labels(NamedTuple):
    """Which pixel belongs to which region.

    Attributes:
        labels: (h, w), 0 where no region is; its first pixel is the image's pixel (left, top).
        regions: their number; they are numbered from 1.
    """

    labels: np.ndarray
    regions: int
    top: int
    left: int

    def crop(self, plane: np.ndarray) -> np.ndarray:
        """Return the same part of another array. Shapes: (H, W) → (h, w)."""
        height, width = self.labels.shape
        return plane[self.top : self.top + height, self.left : self.left + width]


def label_regions(mask: np.ndarray) -> Labels:
    """Number the regions of a mask that has at least one pixel. Shapes: (H, W) bool."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    inside = np.ascontiguousarray(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    # as bytes: cc3d 4.1.1 labels pixels outside of a mask that is bool
    labels, count = cc3d.connected_components(inside.view(np.uint8), connectivity=CONNECTIVITY, return_N=True)
    return Labels(labels, count, top, left)


def measure_regions(found: Labels, probability: np.ndarray, defect_type: np.ndarray) -> list[Region]:
    """Return the regions, the highest score first; then the largest, then from the top.

    Shapes: both (H, W) uint8: P(defect) · 255, and the types counted from 1.
    """
    labels, count, top, left = found
    inside = labels > 0
    numbers = labels[inside]  # (defective pixels,)
    statistics = cc3d.statistics(labels, no_slice_conversion=True)
    areas = statistics["voxel_counts"][1:].astype(np.int64)
    regions = [
        Region(label, kind, score, area, Box(left + x0, top + y0, x1 - x0 + 1, y1 - y0 + 1), (x, y))
        for label, kind, score, area, (y0, y1, x0, x1), (y, x) in zip(
            range(1, count + 1),
            _majorities(numbers, found.crop(defect_type)[inside], count),
            _scores(numbers, found.crop(probability)[inside], areas),
            areas.tolist(),
            statistics["bounding_boxes"][1:].tolist(),  # first and last row, first and last column
            np.add(statistics["centroids"][1:], (top, left)).round(1).tolist(),
            strict=True,
        )
    ]
    regions.sort(key=lambda each: (-each.score, -each.area, each.box.y, each.box.x))
    return regions


def _majorities(labels: np.ndarray, types: np.ndarray, count: int) -> list[int]:
    """Return the most frequent type of each label, the lowest of equals. Shapes: both (defective pixels,)."""
    most = int(types.max()) + 1
    votes = np.bincount((labels.astype(np.int64) - 1) * most + types, minlength=count * most)
    majorities: list[int] = votes.reshape(count, most).argmax(axis=1).tolist()
    return majorities


def _scores(labels: np.ndarray, levels: np.ndarray, areas: np.ndarray) -> list[float]:
    """Return each label's mean of its SCORE_PIXELS highest levels, as 0–1.

    Shapes: labels, levels (defective pixels,); areas (regions,).
    """
    # few labels fit in 16 bits, which numpy sorts three times as fast
    kind = np.uint16 if len(areas) < RADIX_LABELS else np.uint32
    keys: np.ndarray = np.left_shift(labels.astype(kind), 8) | (LEVELS - levels)
    keys.sort(kind="stable")  # by label, the highest level first
    counted = np.minimum(areas, SCORE_PIXELS)
    ranks = np.arange(SCORE_PIXELS)
    places = (np.cumsum(areas) - areas)[:, np.newaxis] + ranks  # (regions, SCORE_PIXELS)
    highest = LEVELS - (keys[np.minimum(places, len(keys) - 1)] & LEVELS).astype(np.int64)
    sums = np.where(ranks < counted[:, np.newaxis], highest, 0).sum(axis=1)
    scores: list[float] = (sums / counted / LEVELS).round(4).tolist()
    return scores
