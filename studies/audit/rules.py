"""The rules of the label audit: which masks are empty, missing, or differ from those of the tile's other photographs.

A tile's photographs are registered, so a mask can be laid onto the siblings of its image. Every rule takes photographs
and returns figures; the report puts them into words.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studies.registration import Alignment, correlation, high_pass, project, running_mean
from training.dataset.index import FREE, Entry
from training.dataset.samples import Sample

LEAST_PIXELS = 4  # a mask of fewer shows nothing; the smallest of the others has 26
SHOWN = 0.6  # correlation in the defect's region; studies/label_audit.md shows which pairs are above and below it
AGREEMENT = 0.5  # Dice; below it, mask and majority differ in more than twice as many pixels as they share
CONTRAST_RADIUS = 15  # pixels: a defect is compared with its surroundings of 31 × 31
REGION_MARGIN = 4  # pixels around a mask, so that the defect's outline counts
SLACK = range(-2, 3)  # pixels: how exact registration at half scale is

Align = Callable[[str, str], Alignment]  # (reference, other)


@dataclass(frozen=True)
class Shown:
    """Whether an image shows the defect that its siblings label.

    Attributes:
        siblings: how many siblings label a defect.
        inside: the share of a sibling's mask that is within the image's frame, the median over these siblings.
        correlation: in the defect's region, the median over these siblings; None if the region is outside the frame.
    """

    entry: Entry
    siblings: int
    inside: float
    correlation: float | None

    @property
    def fires(self) -> bool:
        """Whether the image shows the defect."""
        return self.correlation is not None and self.correlation >= SHOWN


@dataclass(frozen=True)
class Vote:
    """An image's mask against the majority of its siblings' masks, in pixels that a sibling shows as well."""

    entry: Entry
    siblings: int
    common: int
    mask: int
    majority: int

    @property
    def dice(self) -> float:
        """2 · common / (mask + majority); 1 if both are empty."""
        return dice_pooled([self])


@dataclass(frozen=True)
class Types:
    """A tile that is filed under several defect types. dice: of the masks of two types, pooled over their pairs."""

    images: dict[str, tuple[str, ...]]
    dice: float


def labels_a_defect(sample: Sample) -> bool:
    """Whether the mask has at least LEAST_PIXELS defective pixels."""
    return sample.entry.defect_pixels >= LEAST_PIXELS


def nearly_empty(samples: Sequence[Sample]) -> list[Entry]:
    """Return the images filed under a defect type whose mask has fewer than LEAST_PIXELS defective pixels."""
    return [sample.entry for sample in samples if sample.entry.defect_type != FREE and not labels_a_defect(sample)]


def missing_labels(tile: Sequence[Sample], align: Align) -> list[Shown]:
    """Measure each image without a label on a tile whose other images have one."""
    labelled = [sample for sample in tile if labels_a_defect(sample)]
    return [_shown(sample, labelled, align) for sample in tile if labelled and not labels_a_defect(sample)]


def _shown(sample: Sample, labelled: Sequence[Sample], align: Align) -> Shown:
    inside, found = [], []
    for sibling in labelled:
        alignment = align(sample.entry.name, sibling.entry.name)
        pixels = pixels_inside(sample, sibling, alignment)
        inside.append(pixels / sibling.entry.defect_pixels)
        if pixels >= LEAST_PIXELS:
            found.append(defect_correlation(sample, sibling, alignment))
    seen = float(np.median(found)) if found else None
    return Shown(sample.entry, len(labelled), float(np.median(inside)), seen)


def pixels_inside(sample: Sample, labelled: Sample, alignment: Alignment) -> int:
    """Count the pixels of the labelled image's mask that are within the other image's frame."""
    return int(project(labelled.mask, alignment, _shape(sample)).sum())


def _shape(sample: Sample) -> tuple[int, int]:
    return sample.image.shape[0], sample.image.shape[1]


def defect_correlation(sample: Sample, labelled: Sample, alignment: Alignment) -> float:
    """Compare two photographs in the region of the labelled defect: its mask and REGION_MARGIN around it.

    Returns the correlation of the high-pass grey values, the best over shifts by SLACK pixels.
    """
    shape = _shape(sample)
    region = _widened(project(labelled.mask, alignment, shape))
    covered = project(np.ones(labelled.mask.shape, bool), alignment, shape)
    there = high_pass(project(labelled.image, alignment, shape), CONTRAST_RADIUS)
    here = high_pass(sample.image, CONTRAST_RADIUS)
    best = -1.0
    for shift in itertools.product(SLACK, SLACK):
        both = region & np.roll(covered, shift, (0, 1))
        best = max(best, correlation(here[both], np.roll(there, shift, (0, 1))[both]))
    return best


def _widened(mask: np.ndarray) -> np.ndarray:
    near = running_mean(running_mean(mask, REGION_MARGIN, 0), REGION_MARGIN, 1)
    return near > 0.5 / (2 * REGION_MARGIN + 1) ** 2  # half a pixel of the square around it


def labelled_pairs(tile: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    """Return each labelled image with the next one: pairs that certainly show the same defect."""
    return list(itertools.pairwise(sample for sample in tile if labels_a_defect(sample)))


def votes(tile: Sequence[Sample], align: Align) -> list[Vote]:
    """Compare each mask with the majority of its siblings'."""
    return [_vote(sample, [other for other in tile if other is not sample], align) for sample in tile if len(tile) > 1]


def _vote(sample: Sample, siblings: Sequence[Sample], align: Align) -> Vote:
    shape = _shape(sample)
    marked, shown = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for sibling in siblings:
        alignment = align(sample.entry.name, sibling.entry.name)
        marked += project(sibling.mask, alignment, shape)
        shown += project(np.ones(sibling.mask.shape, bool), alignment, shape)
    majority = 2 * marked > shown
    mask = sample.mask & (shown > 0)
    counts = (int(pixels.sum()) for pixels in (mask & majority, mask, majority))
    return Vote(sample.entry, len(siblings), *counts)


def dice_pooled(found: Sequence[Vote]) -> float:
    """Return the Dice of all images' pixels together; 1 if there are none."""
    pixels = sum(vote.mask + vote.majority for vote in found)
    return 2 * sum(vote.common for vote in found) / pixels if pixels else 1.0


def two_types(tile: Sequence[Sample], align: Align) -> Types | None:
    """Return a tile's images by type and how well the types' masks agree, or None if it has fewer than two types."""
    defective = [sample for sample in tile if sample.entry.defect_type != FREE]
    images: Mapping[str, list[str]] = {sample.entry.defect_type: [] for sample in defective}
    if len(images) < 2:  # noqa: PLR2004 - two types
        return None
    for sample in defective:
        images[sample.entry.defect_type].append(sample.entry.name)
    pairs = [(a, b) for a, b in itertools.permutations(defective, 2) if a.entry.defect_type != b.entry.defect_type]
    agreed = dice_pooled([vote for a, b in pairs for vote in [_vote(a, [b], align)]])
    return Types({kind: tuple(names) for kind, names in sorted(images.items())}, agreed)
