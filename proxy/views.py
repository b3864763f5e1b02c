"""An analysis as a picture: the mask, the image with its outlined defects, or the probabilities."""

import io
from collections.abc import Callable, Mapping
from functools import cache
from itertools import islice

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from proxy.analysis import Analysis
from proxy.report import Report
from tiles.pictures import FOUND

SHADOW = (20, 20, 20)
FONT_SIZE = 13  # pixels
LABELS = 50  # at most; the regions with the highest scores
QUICK = 1  # zlib's level: for photographs, a higher one takes several times as long and saves a tenth


def mask_view(report: Report) -> Image.Image:
    """Return the mask, white where defective, one bit a pixel."""
    return Image.fromarray(report.analysis.mask)


def probability_view(report: Report) -> Image.Image:
    """Return the probabilities as grey levels."""
    return Image.fromarray(report.analysis.probability)


def overlay_view(report: Report) -> Image.Image:
    """Return the image with a line around each defect, which leaves the defect itself visible, and its label."""
    analysis = report.analysis
    pixels = np.repeat(report.image[:, :, np.newaxis], 3, axis=2)
    pixels[_around(analysis.mask)] = FOUND
    picture = Image.fromarray(pixels)
    _label(picture, analysis)
    return picture


def encode(picture: Image.Image, *, quick: bool) -> bytes:
    """Encode as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **({"compress_level": QUICK} if quick else {}))
    return buffer.getvalue()


def _around(mask: np.ndarray) -> np.ndarray:
    """Return the pixels that touch a defective one and are none. Shapes: (H, W) bool → (H, W) bool."""
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    both = wide.copy()
    both[:, 1:] |= wide[:, :-1]
    both[:, :-1] |= wide[:, 1:]
    around: np.ndarray = both & ~mask
    return around


def _label(picture: Image.Image, analysis: Analysis) -> None:
    """Write each defect's type and score above it, or below it where there is no room."""
    draw, font = ImageDraw.Draw(picture), _font()
    for region in islice(analysis.regions, LABELS):
        text = f"{analysis.model.defect_types[region.type_number - 1]} {region.score:.2f}"
        above = region.box.y - FONT_SIZE - 4
        top = above if above >= 0 else min(region.box.y + region.box.height + 2, picture.height - FONT_SIZE - 2)
        left = max(0, min(region.box.x, picture.width - int(font.getlength(text)) - 2))
        draw.text((left + 1, top), text, fill=FOUND, font=font, stroke_width=1, stroke_fill=SHADOW)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)


VIEWS: Mapping[str, Callable[[Report], Image.Image]] = {
    "mask": mask_view,  # the first is the default
    "overlay": overlay_view,
    "probability": probability_view,
}
