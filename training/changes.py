"""Changes that a photograph may undergo between the camera and the network, each by a level; one level changes nothing.

Grey values are rounded and clipped to 0–255 after a change, as a camera or a file would.
"""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from tiles import decode_image
from training.dataset import Sample

PUBLISHED = 100  # the JPEG quality that stands for the published file, not encoded again


@dataclass(frozen=True)
class Change:
    """One way to change a sample.

    Attributes:
        words: what it is, with the level's unit.
        neutral: the level that changes nothing.
        apply: (sample, level) → the changed sample, of the same size.
    """

    words: str
    neutral: float
    apply: Callable[[Sample, float], Sample]


def _with_greys(sample: Sample, greys: np.ndarray) -> Sample:
    return replace(sample, tile=np.clip(np.round(greys), 0, 255).astype(np.uint8))


def change_gamma(sample: Sample, exponent: float) -> Sample:
    """Raise the grey values, as shares of white, to a power: below 1 is brighter. Training does the same."""
    return _with_greys(sample, 255 * (sample.tile / 255) ** exponent)


def change_gain(sample: Sample, factor: float) -> Sample:
    """Multiply the grey values: what then exceeds white is lost, as in a photograph exposed for too long."""
    return _with_greys(sample, sample.tile * float(factor))


def blur(sample: Sample, sigma: float) -> Sample:
    """Blur by a Gaussian of this standard deviation in pixels; Pillow's, three box blurs, is within 3 grey levels."""
    return replace(sample, tile=np.asarray(Image.fromarray(sample.tile).filter(ImageFilter.GaussianBlur(sigma))))


def encode_again(sample: Sample, quality: float) -> Sample:
    """Encode as JPEG and decode as the service does. quality: 1–95, of libjpeg; PUBLISHED leaves the tile as it is."""
    if quality == PUBLISHED:
        return sample
    file = io.BytesIO()
    Image.fromarray(sample.tile).save(file, "JPEG", quality=int(quality))
    return replace(sample, tile=decode_image(file.getvalue(), max_pixels=sample.tile.size))


def add_noise(sample: Sample, deviation: float) -> Sample:
    """Add Gaussian noise of this standard deviation in grey levels.

    An image gets the same noise, scaled, at every level and in every run; another image gets another.
    """
    rng = np.random.default_rng(zlib.crc32(sample.entry.image.encode()))
    return _with_greys(sample, sample.tile + deviation * rng.standard_normal(sample.tile.shape))


def rotate(sample: Sample, degrees: float) -> Sample:
    """Turn the tile and its true mask alike, counter-clockwise about the centre; both keep their size.

    What enters the frame at its corners are the edge pixels, repeated, in both; a mask's pixel is defective where the
    turned mask mostly covers it.
    """
    mask = _turned(sample.mask.astype(np.uint8) * 255, degrees) > 127  # noqa: PLR2004 - mostly covered
    return replace(sample, tile=_turned(sample.tile, degrees), mask=mask)


def _turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    height, width = picture.shape
    rim = int(np.hypot(height, width) - min(height, width)) // 2 + 2  # as far as a turned frame reaches
    whole = Image.fromarray(np.pad(picture, rim, mode="edge")).rotate(degrees, Image.Resampling.BILINEAR)
    return np.asarray(whole)[rim : rim + height, rim : rim + width]


CHANGES = {
    "gamma": Change("gamma, exponent", 1.0, change_gamma),
    "gain": Change("brightness, factor", 1.0, change_gain),
    "blur": Change("Gaussian blur, σ in pixels", 0.0, blur),
    "jpeg_quality": Change("JPEG quality", PUBLISHED, encode_again),
    "noise": Change("Gaussian noise, σ in grey levels", 0.0, add_noise),
    "rotation": Change("rotation, degrees", 0.0, rotate),
}
