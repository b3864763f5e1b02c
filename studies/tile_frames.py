"""Lays the photographs of a tile onto one another, to about a tenth of a pixel.

`registration` finds a rotation and a shift, to half a degree and two pixels. Here they are refined until the details of
the two photographs fit. All photographs of a tile are laid onto its middle one, so any two of them are related.

Words:
    transform   (3, 3) float64, homogeneous: leads from a pixel (x, y) of one photograph to the pixel of another that
                shows the same spot of the tile; (0, 0) is the centre of the first pixel
    frames      {image: transform from its tile's middle photograph to it}
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from studies.registration import (
    GOOD_ENOUGH,
    SAME_TILE,
    SCALE,
    TURNS,
    Alignment,
    Registrar,
    correlation,
    detail,
)
from training.dataset.samples import Sample

STEPS = 30  # at most; half of the pairs need fewer than six
STILL = 0.005  # pixels at half scale: a step that moves no pixel further is the last
BORDER = 2  # pixels at half scale: nearer to the other photograph's edge the slopes are unknown

Frames = Mapping[str, np.ndarray]


def register_tiles(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Register the photographs of each tile on its middle one, in the order of their names; return their frames.

    A photograph that cannot be registered is missing: its detail correlates less than SAME_TILE.
    """
    tiles: defaultdict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for sample in sorted(samples, key=lambda sample: sample.entry.name):
        tiles[sample.entry.tile][sample.entry.name] = sample.image
    return {name: transform for images in tiles.values() for name, transform in _register(images).items()}


def _register(images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    middle = list(images)[len(images) // 2]
    registrar, details = Registrar(images), {name: detail(image) for name, image in images.items()}
    frames = {middle: np.eye(3)}
    for name in [name for name in images if name != middle]:
        rough = rough_transform(registrar.align(middle, name, TURNS, GOOD_ENOUGH), images[name].shape)
        transform, alike = _refine(details[middle], details[name], rough)
        if alike >= SAME_TILE:
            frames[name] = transform
    return frames


def between(frames: Frames, first: str, second: str) -> np.ndarray:
    """Return the transform from the first photograph to the second, both of one tile."""
    return np.asarray(frames[second] @ np.linalg.inv(frames[first]))


def lay(picture: np.ndarray, transform: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Lay a photograph's picture onto another, bilinearly; pixels that it does not show are 0.

    Shapes: picture (H, W) float32, transform to it → `shape`, float32.
    """
    corner = _scaling(1, -0.5)  # Pillow counts from the corner of the first pixel
    coefficients = (np.linalg.inv(corner) @ transform @ corner)[:2].ravel().tolist()
    size = (shape[1], shape[0])
    laid = Image.fromarray(picture).transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(laid)


def _scaling(factor: float, shift: float) -> np.ndarray:
    return np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])


def rough_transform(alignment: Alignment, shape: Sequence[int]) -> np.ndarray:
    """Return an alignment as a transform. shape: of the photograph that it aligned."""
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    back = _motion(0, (0, 0), (-alignment.columns, -alignment.rows))
    return np.asarray(_motion(np.deg2rad(alignment.degrees), (x, y), (0, 0)) @ back)


def _motion(angle: float, centre: tuple[float, float], shift: tuple[float, float]) -> np.ndarray:
    """Return a rotation about a centre, followed by a shift. angle: radians, from x to y."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.vstack([np.column_stack([turn, np.array(centre) + shift - turn @ centre]), (0, 0, 1)])


def _refine(reference: np.ndarray, other: np.ndarray, transform: np.ndarray) -> tuple[np.ndarray, float]:
    """Move `other` until it fits the reference, by Gauss–Newton; return the transform and the correlation there.

    Source: Lucas & Kanade 1981 (image registration).
    Shapes: reference and other (H, W) float32, what `detail` returns; the transforms are of the photographs.
    """
    photograph = _scaling(SCALE, (SCALE - 1) / 2)  # from a detail's pixel to the photograph's
    transform = np.linalg.inv(photograph) @ transform @ photograph
    inner = np.zeros(other.shape, np.float32)
    inner[BORDER:-BORDER, BORDER:-BORDER] = 1
    for _ in range(STEPS):
        both = lay(inner, transform, reference.shape) == 1
        step, reach = _step(reference, lay(other, transform, reference.shape), both)
        transform = transform @ step
        if reach < STILL:
            break
    both = lay(inner, transform, reference.shape) == 1
    alike = correlation(reference[both], lay(other, transform, reference.shape)[both])
    return np.asarray(photograph @ transform @ np.linalg.inv(photograph)), alike


def _step(reference: np.ndarray, laid: np.ndarray, both: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the small motion of the reference's pixels after which `laid` fits better, and how far it moves a pixel.

    Shapes: (H, W) float32, float32 and bool.
    """
    here, there = reference[both].astype(np.float64), laid[both].astype(np.float64)
    if not there.size or there.std() == 0:  # nothing to fit
        return np.eye(3), 0.0
    height, width = reference.shape
    x, y = (width - 1) / 2, (height - 1) / 2
    down, right = np.gradient(laid)
    rows, columns = np.indices(reference.shape)
    # how `laid` changes with a shift to the right, a shift down and a rotation: (3, pixels)
    slopes = np.stack([right[both], down[both], ((columns - x) * down - (rows - y) * right)[both]]).astype(np.float64)
    gain = here.std() / there.std()
    slopes = gain * (slopes - slopes.mean(axis=1, keepdims=True))
    missing = here - here.mean() - gain * (there - there.mean())
    # einsum and not @: the sums must not depend on the number of threads
    normal, wanted = np.einsum("ip,jp->ij", slopes, slopes), np.einsum("ip,p->i", slopes, missing)
    right_by, down_by, angle = (float(value) for value in np.linalg.lstsq(normal, wanted, rcond=None)[0])
    reach = max(abs(right_by), abs(down_by), abs(angle) * max(x, y))
    return _motion(angle, (x, y), (right_by, down_by)), reach
