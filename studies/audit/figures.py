"""All figures of the label audit: the rules applied to the dataset, tile by tile.

This module decides what is measured; `report` decides how it is worded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from studies.audit.rules import (
    LEAST_PIXELS,
    Align,
    Shown,
    Types,
    Vote,
    defect_correlation,
    labelled_pairs,
    labels_a_defect,
    missing_labels,
    nearly_empty,
    pixels_inside,
    two_types,
    votes,
)
from studies.audit.tile_recovery import Difference, Pair, agreement, joined, parted, recover_tiles, sample_pairs
from studies.registration import GOOD_ENOUGH, Registrar
from training.dataset.index import FREE, Entry
from training.dataset.samples import Sample

SAMPLED_PAIRS = 300  # of images of the same tile, and as many of images of different tiles
SEED = 20


@dataclass(frozen=True)
class Correlations:
    """Correlations of pairs that should match and of pairs that should not."""

    alike: list[float]
    unlike: list[float]


@dataclass(frozen=True)
class Audit:
    """All figures of the report.

    Attributes:
        tiles: the images of each recovered tile.
        rand_index, joined, parted: how the recovered tiles differ from tile_ids.csv.
        plain, registered: correlations of pairs of images; plain with streaks and without rotation, registered without
            streaks and with the best rotation.
        empty: images filed under a defect type with a nearly empty mask.
        missing: images without a label on tiles whose other images have one.
        defects: correlations in the regions of defects.
        votes: of every image of the defective tiles.
        votes_of_labelled: only of the images that label a defect.
        types: the tiles that are filed under two types.
    """

    tiles: list[list[Sample]]
    rand_index: float
    joined: list[Difference]
    parted: list[Difference]
    plain: Correlations
    registered: Correlations
    empty: list[Entry]
    missing: list[Shown]
    defects: Correlations
    votes: list[Vote]
    votes_of_labelled: list[Vote]
    types: list[Types]

    @property
    def doubtful(self) -> dict[str, str]:
        """{image: reason}, ordered by image: the images that the 'without doubtful' column leaves out."""
        reasons = {entry.name: f"filed as {entry.defect_type} with {_pixels(entry)}" for entry in self.empty}
        unlabelled = [shown.entry.name for shown in self.missing if shown.entry.defect_type == FREE and shown.fires]
        reasons |= dict.fromkeys(unlabelled, "filed as Free but shows the defect that its siblings label")
        return dict(sorted(reasons.items()))


def _pixels(entry: Entry) -> str:
    return {0: "an empty mask", 1: "a mask of 1 pixel"}.get(
        entry.defect_pixels, f"a mask of {entry.defect_pixels} pixels"
    )


def examine(samples: dict[str, Sample]) -> Audit:
    """Apply every rule.

    Raises: DatasetError, when an image's name lacks exposure or frame.
    """
    samples = dict(sorted(samples.items()))  # the pairs that are drawn depend on the order
    entries = [sample.entry for sample in samples.values()]
    pictures = {image: sample.image for image, sample in samples.items()}
    registrar = Registrar(pictures)
    align = cache(partial(registrar.align, good_enough=GOOD_ENOUGH))
    groups = recover_tiles(entries, registrar)
    tiles = [[samples[image] for image in images] for images in groups]
    defective = [tile for tile in tiles if any(map(labels_a_defect, tile))]
    plain = partial(Registrar(pictures, streaks=True).align, degrees=(0.0,))
    pairs = sample_pairs(entries, SAMPLED_PAIRS, SEED)
    return Audit(
        tiles=tiles,
        rand_index=agreement(entries, groups),
        joined=joined(entries, groups, registrar),
        parted=parted(entries, groups, registrar),
        plain=_correlations(pairs, plain),
        registered=_correlations(pairs, align),
        empty=nearly_empty(list(samples.values())),
        missing=[shown for tile in defective for shown in missing_labels(tile, align)],
        defects=_defect_correlations(defective, list(samples.values()), align),
        votes=[vote for tile in defective for vote in votes(tile, align)],
        votes_of_labelled=[vote for tile in defective for vote in votes(list(filter(labels_a_defect, tile)), align)],
        types=[types for tile in defective if (types := two_types(tile, align))],
    )


def _correlations(pairs: tuple[list[Pair], list[Pair]], align: Align) -> Correlations:
    return Correlations(*([align(first, second).correlation for first, second in chosen] for chosen in pairs))


def _defect_correlations(tiles: Sequence[Sequence[Sample]], samples: Sequence[Sample], align: Align) -> Correlations:
    """Measure defect regions in pairs of labelled siblings, and in pairs of similar size of different tiles."""
    pairs = [pair for tile in tiles for pair in labelled_pairs(tile)]
    chance = [(_nearest_in_size(tile, samples), next(filter(labels_a_defect, tile))) for tile in tiles]
    return Correlations(*(_in_defect_regions(chosen, align) for chosen in (pairs, chance)))


def _in_defect_regions(pairs: Sequence[tuple[Sample, Sample]], align: Align) -> list[float]:
    aligned = [(sample, labelled, align(sample.entry.name, labelled.entry.name)) for sample, labelled in pairs]
    return [defect_correlation(*pair) for pair in aligned if pixels_inside(*pair) >= LEAST_PIXELS]


def _nearest_in_size(tile: Sequence[Sample], samples: Sequence[Sample]) -> Sample:
    """Return the image of another tile whose size is closest to the first labelled one's."""
    own = {sample.entry.name for sample in tile}
    entry = next(filter(labels_a_defect, tile)).entry

    def distance(other: Sample) -> tuple[int, str]:
        return abs(other.entry.width - entry.width) + abs(other.entry.height - entry.height), other.entry.name

    return min((sample for sample in samples if sample.entry.name not in own), key=distance)
