"""Draws random defects that look like those of the tiles: where they lie, how they look, and their defect type.

Each shape function takes an image that was turned so that its first row is the end where the defect may lie, grey
values (H, W) float32. It changes nothing and returns a Shape. It must not know samples, masks or crops.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

EDGE = 12  # pixels: a defect that begins nearer to the image's end counts as one at this end
PIT_AT_END = 0.5  # share of the pits
LINE_FROM_END = 0.7  # share of the lines
BAND_IN_PART = 0.4  # share of the bands that do not reach over the whole width
STRONGER_MARKS = 0.6  # share of the areas with stronger grinding marks; the other areas are smoother
CORNER = 0.12  # share of the width: no notch lies nearer to a corner, because the corners of all tiles are rounded
OUTSIDE = 0.35  # times the image's median: rows at an end that are darker do not show the tile
LARGEST_OUTSIDE = 0.15  # share of the height that such rows may take
BEYOND = -10.0  # pixels: the depth of a place that is far outside the defect

# depth in pixels, positive inside the defect; the grey values there; the defect type, "" where nobody could tell it
Shape = tuple[np.ndarray, np.ndarray, str]


def pit(image: np.ndarray, rng: np.random.Generator) -> Shape:
    """Draw a soft dark ellipse anywhere or at the end. At the end the image may cut it, so its type is unknown."""
    height, width = image.shape
    at_end = rng.random() < PIT_AT_END
    small = _log_uniform(3, 9, rng)
    large = small * rng.uniform(1, 2.5)
    x = rng.uniform(0, width)
    y = _end(image, x, large) + rng.uniform(-0.3, 1) * EDGE if at_end else rng.uniform(0, height)
    depth = _ellipse(image, (x, y), (large, small), rng.uniform(0, np.pi)) + _noise(image.shape, 6, 1, rng)
    return depth, _dark(image, rng.uniform(0.15, 0.6), rng), "" if at_end else "Blowhole"


def notch(image: np.ndarray, rng: np.random.Generator) -> Shape:
    """Draw a piece that is broken out of the end."""
    half, deep = _log_uniform(6, 40, rng), _log_uniform(4, 24, rng)
    x = rng.uniform(CORNER, 1 - CORNER) * image.shape[1]
    first = _end(image, x, half)
    depth = _ellipse(image, (x, first - 1), (half, deep), 0) + _noise(image.shape, 7, rng.uniform(0.5, 2.5), rng)
    depth[: max(0, first - 2)] = BEYOND
    return depth, _dark(image, rng.uniform(0.15, 0.6), rng), "Break"


def strip(image: np.ndarray, rng: np.random.Generator) -> Shape:
    """Draw a frayed strip along the end. It may be a Fray or a row of breaks, so its type is unknown."""
    half, deep = rng.uniform(10, 60), rng.uniform(2, 9)
    x = rng.uniform(0, image.shape[1])
    first = _end(image, x, half)
    rows, columns = _grid(image)
    contour = first + deep * (1 - ((columns - x) / half) ** 2)  # (1, W): the row where the strip ends
    coarse, fine = (_noise(image.shape, period, rng.uniform(1, most), rng) for period, most in ((14, 3), (4, 2)))
    depth = contour - rows + coarse + fine
    depth[: max(0, first - 2)] = BEYOND
    depth[:, np.abs(columns[0] - x) > half] = BEYOND
    return depth, _dark(image, rng.uniform(0.2, 0.65), rng), ""


def line(image: np.ndarray, rng: np.random.Generator) -> Shape:
    """Draw a thin dark line that wanders along the grinding marks; most lines begin at the end."""
    height, width = image.shape
    long = _log_uniform(15, 150, rng)
    first = _end(image, width / 2, width / 4) if rng.random() < LINE_FROM_END else rng.uniform(0, height)
    rows, columns = _grid(image)
    wander = _noise((height, 1), 24, 3, rng) + _noise((height, 1), 6, 0.7, rng)
    x = rng.uniform(0.05, 0.95) * width + rng.normal(0, 0.15) * (rows - first) + wander  # (H, 1)
    to_tip = np.minimum(rows - first + 2, first + long - rows)  # (H, 1) pixels to the line's nearer tip
    half = np.minimum(rng.uniform(0.4, 2) + _noise((height, 1), 10, 0.4, rng), to_tip / 6)
    depth = np.where(to_tip >= 0, half - np.abs(columns - x), BEYOND).astype(np.float32)
    return depth, _dark(image, rng.uniform(0.2, 0.6), rng), "Crack"


def band(image: np.ndarray, rng: np.random.Generator) -> Shape:
    """Draw a differently ground area at the end, over the whole width or a part of it."""
    height, width = image.shape
    rows, columns = _grid(image)
    contour = rng.uniform(0.06, 0.4) * height + rng.normal(0, 0.1) * (columns - width / 2)
    depth = contour - rows + _noise((1, width), 40, 4, rng)
    if rng.random() < BAND_IN_PART:
        side, part = rng.integers(2), rng.uniform(0.3, 0.8) * width
        depth = np.minimum(depth, part - (columns if side else width - 1 - columns))
    return depth, _ground(image, rng), "Uneven"


def patch(image: np.ndarray, rng: np.random.Generator) -> Shape:
    """Draw a differently ground area inside the image."""
    height, width = image.shape
    centre = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height
    depth = _ellipse(image, centre, (rng.uniform(0.12, 0.45) * width, rng.uniform(0.06, 0.3) * height), 0)
    return depth + _noise(image.shape, 24, 4, rng), _ground(image, rng), "Uneven"


# Function, share of all synthetic defects, and whether the end may be any side of the image. Shapes that follow the
# grinding marks, which run down the image, lie only at its upper and lower end.
DRAWN: dict[str, tuple[Callable[[np.ndarray, np.random.Generator], Shape], float, bool]] = {
    "pit": (pit, 0.25, True),
    "notch": (notch, 0.2, True),
    "strip": (strip, 0.1, True),
    "line": (line, 0.1, False),
    "band": (band, 0.1, False),
    "patch": (patch, 0.05, False),
}


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the column of each pixel. Shapes: (H, 1) and (1, W) float32."""
    height, width = image.shape
    return np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]


def _end(image: np.ndarray, x: float, half: float) -> int:
    """Return the first row that shows the tile in the columns around x; rows above it may show the background.

    half: pixels on either side of x.
    """
    columns = image[: 1 + int(LARGEST_OUTSIDE * len(image)), max(0, int(x - half)) : max(1, int(x + half) + 1)]
    bright = np.flatnonzero(columns.mean(axis=1) > OUTSIDE * np.median(image[::4, ::4]))
    return int(bright[0]) if len(bright) else 0


def _ellipse(
    image: np.ndarray, centre: tuple[float, float], half_axes: tuple[float, float], angle: float
) -> np.ndarray:
    """Return about how many pixels each pixel lies inside the ellipse, negative outside. Shape: (H, W).

    centre: (x, y); half_axes: pixels; angle: radians, of the first half axis.
    """
    rows, columns = _grid(image)
    x, y = columns - centre[0], rows - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    depth: np.ndarray = 1 - np.sqrt((along / half_axes[0]) ** 2 + (across / half_axes[1]) ** 2)
    return depth * min(half_axes)


def _noise(shape: tuple[int, ...], period: float, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise with features of about `period` pixels. strength: standard deviation of the coarse grid."""
    height, width = shape
    coarse = rng.normal(0, strength, [2 + int(side / period) for side in shape]).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _dark(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Return the image as it would look where material is missing: dark, a little mottled, with faint grinding marks.

    factor: times the brightness of the surroundings.
    """
    grey: np.ndarray = factor * _smooth(image, 8) * (1 + _noise(image.shape, 4, 0.15, rng)) + 0.1 * image
    return grey


def _ground(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image as if ground differently: brighter with stronger marks, or darker and smoother."""
    low = _smooth(image, 5)
    if rng.random() < STRONGER_MARKS:
        marks, gain = rng.uniform(1.3, 2.2), rng.uniform(1.1, 1.5)
    else:
        marks, gain = rng.uniform(0, 0.6), rng.uniform(0.6, 1)
    grey: np.ndarray = gain * (low + marks * (image - low))
    return grey


def _smooth(image: np.ndarray, radius: float) -> np.ndarray:
    """Return the mean of each pixel's neighbourhood. radius: pixels."""
    grey = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    return np.asarray(grey.filter(ImageFilter.BoxBlur(radius)), np.float32)
