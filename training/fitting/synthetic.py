"""Adds a synthetic defect to an image without one: the network then sees more defects than the few real ones.

The defect is drawn (`training.fitting.drawn`), or it is a real one from the end of another image, pasted at the same
end. The result depends only on the given random generator. The module must not know crops or parameters.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from training.dataset.samples import Sample
from training.fitting.drawn import DRAWN, EDGE

UNKNOWN = -1  # the label of a defect whose type nobody could tell: the loss of the type leaves it out
PASTED = ""  # in place of a name in DRAWN
PASTED_SHARE = 0.2  # of the defects; DRAWN has the shares of the others
PASTED_TYPES = ("Blowhole", "Break", "Crack", "Fray")  # an Uneven area is as large as the tile
LARGEST_PASTED = (0.4, 0.5)  # share of the height and of the width
RIM = 4  # pixels around a pasted defect that fade into the image
STRENGTH = (0.4, 2.5)  # a pasted defect's brightness changes by a factor between these
END_SHARES = (0.4, 0.1, 0.4, 0.1)  # top, right, bottom, left: most real defects lie at the top and the bottom
SOFTNESS = (1.5, 4)  # pixels over which a drawn defect's outline fades
MARGIN = 1  # pixels around what is drawn that belong to the mask, about as in the published masks
LEAST_CHANGE = 0.12  # times the grey value before, mean of the mask: a fainter defect is left out
DARKEST_GROUND = 24  # grey levels: on a darker image no defect can be seen

# for each tile its images, each with the number of quarter turns that put the defect's end on top
Donors = Sequence[Sequence[tuple[Sample, int]]]


def find_donors(samples: Sequence[Sample]) -> Donors:
    """Return the real defects that lie at an end and are small enough for another tile."""
    donors: dict[str, list[tuple[Sample, int]]] = {}
    for sample in samples:
        if sample.entry.defect_type in PASTED_TYPES and sample.mask.any():
            ends = [(sample, turns) for turns in range(4) if _lies_at_top(np.rot90(sample.mask, turns))]
            donors.setdefault(sample.entry.tile, []).extend(ends)
    return [found for _, found in sorted(donors.items()) if found]


def _lies_at_top(mask: np.ndarray) -> bool:
    (top, bottom), (left, right) = _extent(mask)
    height, width = mask.shape
    return top < EDGE and bottom < LARGEST_PASTED[0] * height and right - left < LARGEST_PASTED[1] * width


def _extent(mask: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the first and the last row, and the first and the last column of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def add_defect(sample: Sample, donors: Donors, rng: np.random.Generator) -> tuple[Sample, int]:
    """Return a copy of a Free sample with a defect and its mask, and the label of the mask's pixels.

    The label is the number of the defect type, or UNKNOWN. If the defect could not be seen, the sample itself is
    returned, with the label 0.
    """
    shares = {PASTED: PASTED_SHARE} | {name: share for name, (_, share, _) in DRAWN.items()}
    name = str(rng.choice(list(shares), p=list(shares.values())))
    image, mask = sample.image.astype(np.float32), np.zeros(sample.image.shape, bool)
    if name == PASTED and donors:
        label = _paste(image, mask, donors, rng)
    else:
        label = _draw(name or "pit", image, mask, sample.types, rng)
    if not _is_visible(sample.image, image, mask):
        return sample, 0
    return replace(sample, image=np.clip(image, 0, 255).astype(np.uint8), mask=mask, consensus=None), label


def _is_visible(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> bool:
    if not mask.any():
        return False
    old = before[mask].astype(np.float32)
    return bool(old.mean() > DARKEST_GROUND and np.abs(after[mask] - old).mean() > LEAST_CHANGE * old.mean())


def _draw(name: str, image: np.ndarray, mask: np.ndarray, types: Sequence[str], rng: np.random.Generator) -> int:
    """Draw a shape of DRAWN into image and mask, and return its label."""
    draw, _, any_end = DRAWN[name]
    turns = int(rng.choice(4, p=END_SHARES)) if any_end else 2 * int(rng.integers(2))
    view = np.rot90(image, turns)  # shares the image's memory: what is drawn here appears in the image
    depth, grey, defect_type = draw(view, rng)
    view += np.clip(0.5 + depth / rng.uniform(*SOFTNESS), 0, 1) * (grey - view)
    np.rot90(mask, turns)[:] = depth > -MARGIN
    return 1 + types.index(defect_type) if defect_type in types else UNKNOWN


def _paste(image: np.ndarray, mask: np.ndarray, donors: Donors, rng: np.random.Generator) -> int:
    """Paste a real defect into image and mask at the same end, adapt its brightness, and return its label.

    A defect at a corner stays at a corner. A defect that is larger than the image is left out: the label is then 0.
    """
    exposures = donors[int(rng.integers(len(donors)))]
    donor, turns = exposures[int(rng.integers(len(exposures)))]
    step = -1 if rng.random() < 0.5 else 1  # noqa: PLR2004 - half of them mirrored
    theirs, grey = np.rot90(donor.mask, turns)[:, ::step], np.rot90(donor.image, turns)[:, ::step]
    image, mask = np.rot90(image, turns), np.rot90(mask, turns)  # both share the memory of what was given
    (_, bottom), (left, right) = _extent(theirs)
    at_left, at_right = left < EDGE, right >= theirs.shape[1] - EDGE
    piece = slice(bottom + 1 + 2 * RIM), slice(max(0, left - 2 * RIM), right + 1 + 2 * RIM)
    theirs, grey = theirs[piece], grey[piece].astype(np.float32)
    room = image.shape[1] - theirs.shape[1]
    if room < 0 or len(theirs) > len(image):
        return 0
    place = int(rng.integers(room + 1))
    place = 0 if at_left else room if at_right else place
    target = slice(len(theirs)), slice(place, place + theirs.shape[1])
    share = _fading(theirs)
    ring = (share > 0) & ~theirs
    strength = np.clip(image[target][ring].mean() / max(grey[ring].mean(), 1), *STRENGTH) if ring.any() else 1
    image[target] += share * (strength * grey - image[target])
    mask[target] = theirs
    return donor.type_number


def _fading(mask: np.ndarray) -> np.ndarray:
    """Return 1 on the mask, falling to 0 over about RIM pixels around it. Shapes: (H, W) bool → (H, W) float32."""
    near = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(2 * RIM + 1))
    return np.asarray(near.filter(ImageFilter.GaussianBlur(RIM / 2)), np.float32) / 255
