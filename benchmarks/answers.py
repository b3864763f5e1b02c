"""The check that a server's masks are right: the speed of wrong answers means nothing."""

import urllib.error
import urllib.request
from collections.abc import Sequence

import numpy as np

from benchmarks.errors import AnswerError
from benchmarks.samples import MAX_PIXELS, PNG, Body, jpeg_bodies
from benchmarks.servers import ANSWER_S, DIRECTLY
from tiles import decode_image, decode_mask


def found_masks(url: str) -> list[np.ndarray]:
    """Post every sample and return the masks, (H, W) bool, that came back as PNG.

    Raises: AnswerError, if an answer is not 200 or does not have its image's size.
    """
    return [_mask(url, body) for body in jpeg_bodies(PNG)]


def _mask(url: str, body: Body) -> np.ndarray:
    data = body.path.read_bytes()
    request = urllib.request.Request(url, data, dict(body.headers))  # noqa: S310  our own server's address
    try:
        with DIRECTLY.open(request, timeout=ANSWER_S) as response:
            mask = decode_mask(response.read(), above=127, max_pixels=MAX_PIXELS)
    except urllib.error.HTTPError as error:
        with error:
            raise AnswerError(f"{url} answered {error.code} to {body.path.name}: {error.read()[:300]!r}") from None
    except (OSError, ValueError) as error:
        raise AnswerError(f"{url} did not answer {body.path.name} with a mask: {error}") from None
    shape = decode_image(data, max_pixels=MAX_PIXELS).shape
    if mask.shape != shape:
        raise AnswerError(f"{url} answered {body.path.name} with a mask of {mask.shape}, not {shape}")
    return mask


def differing_pixels(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Return the share of pixels in which two lists of masks differ, 0–1."""
    differing = sum(int((one != other).sum()) for one, other in zip(found, expected, strict=True))
    return differing / sum(mask.size for mask in expected)
