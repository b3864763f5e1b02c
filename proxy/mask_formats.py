"""A mask as JSON: rows, run lengths, polygons, or none."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, cast

import contourpy
import numpy as np
from pycocotools import mask as coco

from proxy.analysis import Analysis
from proxy.regions import Labels, Region

# Between a pixel in a region, 1, and one outside, 0; a little below the middle, so that pixels that touch at a corner
# stay one polygon, as they are one region. Rounding to HALVES takes the difference out again.
LEVEL = 0.49
HALVES = 2


def rows(analysis: Analysis) -> dict[str, Any]:
    """Return `pred`: a list of rows of 0 and 1."""
    return {"pred": analysis.mask.view(np.uint8)}  # as bool it would be written as true and false


def run_lengths(analysis: Analysis) -> dict[str, Any]:
    """Return the mask as COCO has it, both uncompressed and compressed: pixels in the order of columns, 0 first."""
    height, width = analysis.mask.shape
    columns = analysis.mask.T.ravel()  # a copy
    changes = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    counts = np.diff(np.concatenate(([0, 0] if columns[0] else [0], changes, [columns.size])))
    size = [height, width]
    encoded: Any = coco.encode(columns.view(np.uint8).reshape(height, width, order="F"))
    return {"rle": {"size": size, "counts": counts}, "rle_string": {"size": size, "counts": encoded["counts"].decode()}}


def polygons(analysis: Analysis) -> dict[str, Any]:
    """Return each region's outline and holes: a pixel belongs to it if its centre lies in the one and in no other."""
    labels = analysis.labels
    return {"polygons": [_polygon(each, labels) for each in analysis.regions] if labels is not None else []}


def none(_analysis: Analysis) -> dict[str, Any]:
    """Return nothing: the figures are enough."""
    return {}


def _polygon(region: Region, found: Labels) -> dict[str, Any]:
    """Return the outline of one region in pixels, where pixel (row i, column j) covers [j, j + 1] x [i, i + 1]."""
    lines = outlines(region, found)
    outer, *holes = ((HALVES * line).round() / HALVES for line in lines)
    return {"outer": outer.tolist(), "holes": [hole.tolist() for hole in holes]}


def outlines(region: Region, found: Labels) -> list[np.ndarray]:
    """Return a region's outer outline, and its holes' after it; each (points, 2) float64, x and y."""
    x, y, width, height = region.box
    top, left = y - found.top, x - found.left
    inside = found.labels[top : top + height, left : left + width] == region.label
    padded = np.pad(inside, 1).astype(np.float64)
    generator = contourpy.contour_generator(
        x=np.arange(x - 0.5, x + width + 1), y=np.arange(y - 0.5, y + height + 1), z=padded,
        fill_type=contourpy.FillType.OuterOffset,
    )  # fmt: skip
    # one polygon: what is connected has one outline
    (points,), (offsets,) = cast("tuple[list[np.ndarray], list[np.ndarray]]", generator.filled(LEVEL, np.inf))
    return [points[start:end] for start, end in pairwise(offsets)]


MASKS: Mapping[str, Callable[[Analysis], dict[str, Any]]] = {
    "rows": rows,  # the first is the default
    "rle": run_lengths,
    "polygons": polygons,
    "none": none,
}
