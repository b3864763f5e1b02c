"""Images that are no photograph of a tile as the camera takes it, by kind: what the served tensor `novelty` must catch.

Half of the kinds are drawn or come with a library. The others are test images, turned, blurred, scaled or exposed as no
training image is. All of them are the same in every run.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from typing import Any

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SEED = 20
EACH = 40  # images of a kind
SIZES = ((240, 130), (280, 220), (320, 320), (360, 300), (400, 160), (260, 500), (480, 640), (768, 1024))
BLUR = 3.0  # pixels, a Gaussian's standard deviation
# a whole photograph of 12 megapixels, doubled, would take four times the memory of everything else
MOST_DOUBLED = 1024  # pixels of a side
UNDEREXPOSED = 20  # the mean grey value; the darkest photograph of a tile has 49
WORDS = (
    "The",
    "inspection",
    "of",
    "tile",
    "found",
    "no",
    "defect",
    "on",
    "17",
    "of",
    "128",
    "parts;",
    "see",
    "section",
)
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "hubble_deep_field", "immunohistochemistry", "moon",
               "retina", "rocket")  # fmt: skip
TEXTURES = ("brick", "grass", "gravel")


def other_images(tiles: Sequence[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Return EACH images of every kind, (H, W) uint8. tiles: photographs of tiles; some of them are changed."""
    rng = np.random.default_rng(SEED)
    count = min(EACH, len(tiles))
    chosen = [tiles[place * len(tiles) // count] for place in range(count)]
    drawn = {name: [draw(rng, size) for size in islice(cycle(SIZES), EACH)] for name, draw in DRAWN.items()}
    changed = {name: [change(place, tile) for place, tile in enumerate(chosen)] for name, change in CHANGED.items()}
    return drawn | {"textures": _textures(rng), "photographs": _photographs(rng)} | changed


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Grains of one to four pixels, of any strength, around any grey."""
    grain, strength, grey = int(rng.integers(1, 5)), rng.uniform(10, 80), rng.uniform(30, 220)
    values = grey + strength * rng.standard_normal([-(-side // grain) for side in size])
    return _bytes(np.kron(values, np.ones((grain, grain)))[: size[0], : size[1]])


def _flat(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """One grey, or two that run into each other."""
    first, last = rng.integers(0, 256, 2)
    last = last if rng.random() < 0.5 else first  # noqa: PLR2004 - half of them
    return _bytes(np.broadcast_to(np.linspace(first, last, size[1]), size))


def _text(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Lines of print, dark on light or light on dark."""
    paper, ink = (rng.integers(200, 256), rng.integers(0, 80))[:: 1 if rng.random() < 0.7 else -1]  # noqa: PLR2004
    picture = Image.new("L", size[::-1], int(paper))
    _write(ImageDraw.Draw(picture), rng, (8, 8, size[1], size[0]), int(ink))
    return np.asarray(picture)


def _write(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: tuple[int, int, int, int], ink: int) -> None:
    height = int(rng.integers(10, 28))
    font = ImageFont.load_default(height)
    for top in range(box[1], box[3] - height, height + height // 3):
        line = " ".join(rng.choice(WORDS, 24))
        draw.text((box[0], top), _fitting(line, box[2] - box[0], partial(draw.textlength, font=font)), ink, font)


def _fitting(line: str, width: float, measure: Callable[[str], float]) -> str:
    """Return as many letters of a line as the width holds."""
    return line[: bisect_right(range(1, len(line) + 1), width, key=lambda length: measure(line[:length]))]


def _screenshot(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A window: title bar, menu at the side, text, a chart and buttons."""
    height, width = size
    picture = Image.new("L", (width, height), int(rng.integers(225, 256)))
    draw = ImageDraw.Draw(picture)
    bar, side = height // 10, width // 4
    draw.rectangle((0, 0, width, bar), int(rng.integers(40, 200)))
    draw.rectangle((0, bar, side, height), int(rng.integers(180, 245)))
    _write(draw, rng, (6, bar + 6, side - 6, height), 60)
    _write(draw, rng, (side + 8, bar + 8, width - 8, height // 2), 30)
    heights = rng.integers(bar, height // 3, 6)
    for place, tall in enumerate(heights):
        left = side + 10 + place * (width - side - 20) // len(heights)
        draw.rectangle((left, height - 12 - int(tall), left + width // 20, height - 12), int(rng.integers(60, 200)))
    draw.rounded_rectangle((width - width // 5, height - bar, width - 6, height - 4), 4, 90)
    return np.asarray(picture)


def _textures(rng: np.random.Generator) -> list[np.ndarray]:
    """Cuts of a library's textures, and drawn ones: stripes, checks, clouds."""
    files = [_cut(rng, _grey(getattr(skimage.data, name)())) for name in islice(cycle(TEXTURES), EACH // 2)]
    kinds = (_stripes, _checks, _clouds)
    return files + [kinds[n % len(kinds)](rng, size) for n, size in enumerate(islice(cycle(SIZES), EACH - len(files)))]


def _stripes(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    angle, period = rng.uniform(0.3, np.pi - 0.3), rng.uniform(4, 40)
    y, x = np.mgrid[: size[0], : size[1]]
    return _bytes(128 + rng.uniform(30, 110) * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period))


def _checks(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    side = int(rng.integers(6, 48))
    y, x = np.mgrid[: size[0], : size[1]] // side
    dark, light = rng.integers(0, 256, 2)
    return _bytes(np.where((x + y) % 2, dark, light))


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Noise whose power falls with the square of its frequency."""
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]) + 1 / max(size)
    spectrum = (rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)) / frequency**1.5
    clouds = np.fft.irfft2(spectrum, size)
    return _bytes(128 + rng.uniform(30, 60) * (clouds - clouds.mean()) / clouds.std())


def _photographs(rng: np.random.Generator) -> list[np.ndarray]:
    """Whole photographs of two libraries, at several sizes, and cuts of them."""
    sources = [_grey(image) for image in sklearn.datasets.load_sample_images().images]
    sources += [_grey(getattr(skimage.data, name)()) for name in PHOTOGRAPHS]
    return [
        _cut(rng, source) if place >= EACH // 2 else _resized(source, SIZES[place % len(SIZES)])
        for place, source in enumerate(islice(cycle(sources), EACH))
    ]


def _cut(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    height, width = (min(side, int(rng.integers(200, 420))) for side in image.shape)
    top, left = (int(rng.integers(0, side - kept + 1)) for side, kept in zip(image.shape, (height, width), strict=True))
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def _grey(image: Any) -> np.ndarray:
    return np.asarray(Image.fromarray(np.asarray(image)).convert("L"))


def _scaled(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = (max(1, round(side * factor)) for side in image.shape)
    return _resized(image, (height, width))


def _blurred(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(BLUR)))


def _bytes(greys: np.ndarray) -> np.ndarray:
    return np.clip(np.round(greys), 0, 255).astype(np.uint8)


DRAWN: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "noise": _noise,
    "flat": _flat,
    "text": _text,
    "screenshots": _screenshot,
}
CHANGED: dict[str, Callable[[int, np.ndarray], np.ndarray]] = {
    "turned": lambda place, tile: np.ascontiguousarray(np.rot90(tile, 1 + 2 * (place % 2))),
    "blurred": lambda _, tile: _blurred(tile),
    "half_size": lambda _, tile: _scaled(tile, 0.5),
    "double_size": lambda _, tile: _scaled(tile[:MOST_DOUBLED, :MOST_DOUBLED], 2.0),
    "negative": lambda _, tile: 255 - tile,
    "overexposed": lambda _, tile: _bytes(tile * (255 / max(1, np.median(tile)))),  # half of the pixels are white
    "underexposed": lambda _, tile: _bytes(tile * (UNDEREXPOSED / max(1, tile.mean()))),
}
