"""Registration: finds the rotation and shift that lay one photograph of a tile onto another of the same tile.

The photographs of one tile differ in light, in crop and by up to three degrees. Light and grinding leave vertical
streaks that different tiles share, so registration removes them and compares the rest (the detail) at half scale,
where half a degree does no harm. It knows neither files nor labels.

Words:
    reference, other   two photographs; `other` is laid onto `reference`
    correlation        Pearson's, −1 to 1, over the pixels where both have detail
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

SCALE = 2
FINE_RADIUS = 6  # pixels at half scale: anything larger than 13 of them is light, not surface
STREAK_RADIUS = 16  # pixels at half scale: anything that continues for 33 rows is a streak
CLIP = 3.0  # times the median magnitude: otherwise a bright edge would outweigh the whole surface
DEGREES = (0.0, *(sign * half / 2 for half in range(1, 7) for sign in (1, -1)))
TURNS = (*DEGREES, *(180 + degrees for degrees in DEGREES))  # where the tile may lie the other way round
SAME_TILE = 0.3  # correlation; studies/label_audit.md shows how far pairs are above and below it
GOOD_ENOUGH = 0.6  # correlation: above it the search over rotations ends; each half degree takes more time
LEAST_OVERLAP = 0.5  # of the smaller photograph's area; small overlaps correlate by chance
CANVAS_MARGIN = 1.25  # of the largest photograph: so that a shift and its alias around the canvas differ
CACHED = 512  # details with their spectra, 0.7 MB each


@dataclass(frozen=True)
class Alignment:
    """How `other` lies on the reference: rotated about its centre, then shifted.

    degrees: counter-clockwise; rows, columns: pixels of the full scale, down and to the right.
    """

    correlation: float
    degrees: float
    rows: int
    columns: int


def running_mean(values: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Average each pixel with `radius` neighbours on either side along one axis, the border mirrored.

    Shapes: (H, W) → (H, W) float64.
    """
    padding = [(0, 0), (0, 0)]
    padding[axis] = (radius + 1, radius)
    sums = np.moveaxis(np.pad(values.astype(np.float64), padding, mode="reflect").cumsum(axis), axis, 0)
    width = 2 * radius + 1
    return np.asarray(np.moveaxis((sums[width:] - sums[:-width]) / width, 0, axis))


def high_pass(values: np.ndarray, radius: int) -> np.ndarray:
    """Subtract the mean of the square of 2·radius + 1 pixels around each pixel.

    Shapes: (H, W) → (H, W) float64.
    """
    return np.asarray(values - running_mean(running_mean(values, radius, 0), radius, 1))


def detail(image: np.ndarray, *, streaks: bool = False) -> np.ndarray:
    """Return what distinguishes tiles: the clipped high-pass image, without vertical streaks unless `streaks` is true.

    Shapes: image (H, W) uint8 → (H // 2, W // 2) float32, mean 0.
    """
    height, width = (side // SCALE for side in image.shape)
    # the mean of SCALE × SCALE pixels: (H, W) → (H / 2, 2, W / 2, 2) → (H / 2, W / 2)
    small = image[: height * SCALE, : width * SCALE].reshape(height, SCALE, width, SCALE).mean((1, 3))
    fine = high_pass(small, FINE_RADIUS)
    if not streaks:
        fine = fine - running_mean(fine, STREAK_RADIUS, 0)
    limit = CLIP * np.median(np.abs(fine))
    fine = np.clip(fine, -limit, limit)
    return np.asarray(fine - fine.mean(), np.float32)


def turn(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate an image counter-clockwise about its centre, keeping its size; corners get its median grey.

    Shapes: (H, W) uint8 → same.
    """
    if degrees == 0:
        return image
    fill = int(np.median(image))
    return np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson's correlation of two arrays of one shape; 0 if they are empty or one is constant."""
    if not first.size:
        return 0.0
    first, second = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (first, second))
    norm = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / norm if norm else 0.0


def project(picture: np.ndarray, alignment: Alignment, shape: tuple[int, int]) -> np.ndarray:
    """Lay the image or the mask of `other` onto the reference's frame; uncovered pixels are 0.

    Shapes: picture (H, W) uint8 or bool → `shape`, same dtype.
    """
    resample = Image.Resampling.NEAREST if picture.dtype == bool else Image.Resampling.BILINEAR
    turned = np.asarray(Image.fromarray(picture.astype(np.uint8)).rotate(alignment.degrees, resample))
    onto = np.zeros(shape, picture.dtype)
    target, source = _windows(shape, turned.shape, (alignment.rows, alignment.columns))
    onto[target] = turned[source]
    return onto


def _windows(
    reference: Sequence[int], other: Sequence[int], shift: tuple[int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where two pictures overlap, as slices of the reference and of the other."""
    starts = [max(0, moved) for moved in shift]
    ends = [max(start, min(a, b + moved)) for start, a, b, moved in zip(starts, reference, other, shift, strict=True)]
    spans = list(zip(starts, ends, shift, strict=True))
    return tuple(slice(a, b) for a, b, _ in spans), tuple(slice(a - moved, b - moved) for a, b, moved in spans)


def _shifts(reference: int, other: int, canvas: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the shift that each index of a circular correlation means, and the pixels that overlap there.

    An index means two shifts that differ by the canvas; the one with more overlap is chosen.
    Shapes: (canvas,) int64 each.
    """
    ahead = np.arange(canvas)
    both = np.stack([ahead, ahead - canvas])
    overlap = np.maximum(np.minimum(reference, other + both) - np.maximum(0, both), 0)
    better = overlap.argmax(0)
    return both[better, ahead], overlap[better, ahead]


class Registrar:
    """Aligns photographs by name. images: {name: (H, W) uint8}; streaks: whether to compare the streaks as well."""

    def __init__(self, images: Mapping[str, np.ndarray], *, streaks: bool = False) -> None:
        self._images = images
        self._streaks = streaks
        largest = np.max([image.shape for image in images.values()], axis=0) / SCALE
        self._canvas = tuple(int(np.ceil(side * CANVAS_MARGIN / 16)) * 16 for side in largest)
        self._seen = lru_cache(maxsize=CACHED)(self._see)

    def _see(self, image: str, degrees: float) -> tuple[np.ndarray, np.ndarray]:
        seen = detail(turn(self._images[image], degrees), streaks=self._streaks)
        return seen, np.fft.rfft2(seen, self._canvas)

    def align(
        self, reference: str, other: str, degrees: Sequence[float] = DEGREES, good_enough: float = 1.0
    ) -> Alignment:
        """Return the best alignment over these angles; the search ends early at a correlation of `good_enough`."""
        best = self._align_turned(reference, other, degrees[0])
        for angle in degrees[1:]:
            if best.correlation >= good_enough:
                break
            best = max(best, self._align_turned(reference, other, angle), key=lambda found: found.correlation)
        return best

    def _align_turned(self, reference: str, other: str, degrees: float) -> Alignment:
        """Find the shift at one angle: the peak of the circular correlation among shifts that overlap enough."""
        (first, first_spectrum), (second, second_spectrum) = self._seen(reference, 0.0), self._seen(other, degrees)
        scores = np.fft.irfft2(first_spectrum * second_spectrum.conj(), self._canvas)
        rows, overlap_rows = _shifts(first.shape[0], second.shape[0], self._canvas[0])
        columns, overlap_columns = _shifts(first.shape[1], second.shape[1], self._canvas[1])
        area = overlap_rows[:, np.newaxis] * overlap_columns  # (canvas rows, canvas columns), pixels
        scores[area < LEAST_OVERLAP * min(first.size, second.size)] = -np.inf
        row, column = np.unravel_index(scores.argmax(), scores.shape)
        shift = int(rows[row]), int(columns[column])
        target, source = _windows(first.shape, second.shape, shift)
        return Alignment(correlation(first[target], second[source]), degrees, SCALE * shift[0], SCALE * shift[1])
