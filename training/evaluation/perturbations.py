"""What may happen to an image between the camera and the network, each at several levels; one level changes nothing.

Grey values are rounded and clipped to 0–255 afterwards, as a camera or a file would.
"""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from tiles import decode_image
from training.dataset.samples import Sample

PUBLISHED = 100  # this JPEG quality means the published file, not encoded again


@dataclass(frozen=True)
class Perturbation:
    """One way to change a sample.

    Attributes:
        words: its name, with the level's unit.
        neutral: the level that changes nothing.
        apply: (sample, level) → the changed sample, of the same size.
    """

    words: str
    neutral: float
    apply: Callable[[Sample, float], Sample]


def _with_greys(sample: Sample, greys: np.ndarray) -> Sample:
    return replace(sample, image=np.clip(np.round(greys), 0, 255).astype(np.uint8))


def _change_gamma(sample: Sample, exponent: float) -> Sample:
    """Raise the grey values, as shares of white, to a power: below 1 is brighter. Training does the same."""
    return _with_greys(sample, 255 * (sample.image / 255) ** exponent)


def _change_gain(sample: Sample, factor: float) -> Sample:
    """Multiply the grey values: what exceeds white is lost, as in an overexposed photograph."""
    return _with_greys(sample, sample.image * float(factor))


def _blur(sample: Sample, sigma: float) -> Sample:
    """Blur with a Gaussian of this standard deviation in pixels; Pillow's, three box blurs, is within 3 grey levels."""
    return replace(sample, image=np.asarray(Image.fromarray(sample.image).filter(ImageFilter.GaussianBlur(sigma))))


def _encode_again(sample: Sample, quality: float) -> Sample:
    """Encode as JPEG and decode as the service does. quality: 1–95, of libjpeg; PUBLISHED leaves the image as it is."""
    if quality == PUBLISHED:
        return sample
    file = io.BytesIO()
    Image.fromarray(sample.image).save(file, "JPEG", quality=int(quality))
    return replace(sample, image=decode_image(file.getvalue(), max_pixels=sample.image.size))


def _add_noise(sample: Sample, deviation: float) -> Sample:
    """Add Gaussian noise of this standard deviation in grey levels.

    Each image has its own noise: the same in every run and, scaled, at every level.
    """
    rng = np.random.default_rng(zlib.crc32(sample.entry.name.encode()))
    return _with_greys(sample, sample.image + deviation * rng.standard_normal(sample.image.shape))


def _rotate(sample: Sample, degrees: float) -> Sample:
    """Rotate the image and its true mask counter-clockwise about the centre; both keep their size.

    At the corners the edge pixels of both are repeated. A pixel is defective if the rotated mask covers most of it.
    """
    mask = _turned(sample.mask.astype(np.uint8) * 255, degrees) > 127  # noqa: PLR2004 - mostly covered
    return replace(sample, image=_turned(sample.image, degrees), mask=mask)


def _turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    height, width = picture.shape
    rim = int(np.hypot(height, width) - min(height, width)) // 2 + 2  # as far as a turned frame reaches
    whole = Image.fromarray(np.pad(picture, rim, mode="edge")).rotate(degrees, Image.Resampling.BILINEAR)
    return np.asarray(whole)[rim : rim + height, rim : rim + width]


PERTURBATIONS = {
    "gamma": Perturbation("gamma, exponent", 1.0, _change_gamma),
    "gain": Perturbation("brightness, factor", 1.0, _change_gain),
    "blur": Perturbation("Gaussian blur, σ in pixels", 0.0, _blur),
    "jpeg_quality": Perturbation("JPEG quality", PUBLISHED, _encode_again),
    "noise": Perturbation("Gaussian noise, σ in grey levels", 0.0, _add_noise),
    "rotation": Perturbation("rotation, degrees", 0.0, _rotate),
}
