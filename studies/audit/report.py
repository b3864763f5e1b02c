"""The label audit's report: turns the figures into rows for the template label_audit.md.j2."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studies.audit.figures import SAMPLED_PAIRS, Audit, Correlations
from studies.audit.rules import AGREEMENT, LEAST_PIXELS, REGION_MARGIN, SHOWN, Shown, Types, Vote, dice_pooled
from studies.audit.tile_recovery import EQUAL_SIZE, Difference, exposure
from studies.registration import SAME_TILE
from tiles import DEFECT_TYPES
from training.dataset.index import FREE, TYPES
from training.dataset.samples import Sample
from training.reports import templates

SIMPLE_RULE = 0.5  # the threshold of the simpler measure
TEMPLATE = Path(__file__).with_name("label_audit.md.j2")
Row = Sequence[object]


def render(audit: Audit) -> str:
    """Return the report."""
    samples = [sample for tile in audit.tiles for sample in tile]
    return templates.render(
        TEMPLATE,
        doubtful=len(audit.doubtful),
        same_tile=SAME_TILE,
        simple_rule=SIMPLE_RULE,
        sampled=SAMPLED_PAIRS,
        equal_size=EQUAL_SIZE,
        correlations=_correlations(audit),
        images=len(samples),
        **_counts(audit),
        joined=list(map(_difference, audit.joined)),
        parted=list(map(_difference, audit.parted)),
        exposures=_exposures(audit.tiles),
        least_pixels=LEAST_PIXELS,
        empty=[(entry.name, entry.tile, entry.defect_type, entry.defect_pixels) for entry in audit.empty],
        margin=REGION_MARGIN,
        shown=SHOWN,
        evidence=_evidence(audit.defects),
        missing=list(map(_missing, audit.missing)),
        agreed=_agreed(audit),
        agreement=AGREEMENT,
        unlike=_unlike(audit.votes_of_labelled),
        types=list(map(_types, audit.types)),
        sizes=_sizes(samples, audit),
    )


def _counts(audit: Audit) -> dict[str, Any]:
    """Return how the recovered tiles compare with the table's."""
    named = {sample.entry.tile for tile in audit.tiles for sample in tile}
    changed = {tile for difference in (*audit.joined, *audit.parted) for tile in difference.tiles}
    return {
        "recovered": len(audit.tiles),
        "defective": sum(any(sample.entry.defect_type != FREE for sample in tile) for tile in audit.tiles),
        "named": len(named),
        "equal": len(named - changed),
        "rand": f"{audit.rand_index:.4f}",
        "alone": sum(len(tile) == 1 for tile in audit.tiles),
    }


def _correlations(audit: Audit) -> list[Row]:
    limits = (SAME_TILE, SIMPLE_RULE)
    measures = {"with streaks, not rotated": audit.plain, "without streaks, rotated": audit.registered}
    return [
        (detail, of, *_percentiles(values), *(sum(value < least for value in values) for least in limits))
        for detail, found in measures.items()
        for of, values in (("one tile", found.alike), ("two tiles", found.unlike))
    ]


def _percentiles(values: Sequence[float]) -> list[str]:
    return [f"{value:.2f}" for value in np.percentile(values, (5, 50, 95))] if values else ["–"] * 3


def _difference(difference: Difference) -> Row:
    groups = "; ".join(
        f"{images[0]} and {len(images) - 1} more" if images[1:] else images[0] for images in difference.groups
    )
    return ", ".join(difference.tiles), groups, f"{difference.correlation:.2f}"


def _exposures(tiles: Sequence[Sequence[Sample]]) -> list[Row]:
    """Return the tiles whose photographs are not one of each exposure."""
    found = [(tile[0].entry, "".join(str(exposure(sample.entry.name)) for sample in tile)) for tile in tiles]
    return [
        (entry.tile, entry.defect_type, exposures)
        for entry, exposures in found
        if sorted(exposures) != sorted("123456")
    ]


def _evidence(found: Correlations) -> list[Row]:
    chosen = {"siblings, both labelled": found.alike, "a labelled image and one of another tile": found.unlike}
    return [
        (of, len(values), *_percentiles(values), sum(value >= SHOWN for value in values))
        for of, values in chosen.items()
    ]


def _missing(shown: Shown) -> Row:
    correlation = "–" if shown.correlation is None else f"{shown.correlation:.2f}"
    entry = shown.entry
    return (
        entry.name, entry.tile, entry.defect_type, shown.siblings, f"{shown.inside:.0%}", correlation,
        "yes" if shown.fires else "no",
    )  # fmt: skip


def _agreed(audit: Audit) -> list[Row]:
    def figures(types: Sequence[str]) -> list[str]:
        columns = [
            [vote for vote in votes if vote.entry.defect_type in types]
            for votes in (audit.votes, audit.votes_of_labelled)
        ]
        return [figure for votes in columns for figure in (str(len(votes)), f"{dice_pooled(votes):.3f}")]

    return [("all", *figures(TYPES)), *((name, *figures([name])) for name in DEFECT_TYPES)]


def _unlike(votes: Sequence[Vote]) -> list[Row]:
    low = sorted((vote for vote in votes if vote.dice < AGREEMENT), key=lambda vote: (vote.dice, vote.entry.name))
    return [
        (
            vote.entry.name, vote.entry.tile, vote.entry.defect_type, vote.siblings, vote.mask, vote.majority,
            f"{vote.dice:.2f}",
        )
        for vote in low
    ]  # fmt: skip


def _types(types: Types) -> Row:
    return "; ".join(f"{name}: {', '.join(images)}" for name, images in types.images.items()), f"{types.dice:.2f}"


def _sizes(samples: Sequence[Sample], audit: Audit) -> list[Row]:
    tiles = Counter(name for tile in audit.tiles for name in {sample.entry.defect_type for sample in tile})
    tiles["all"] = len(audit.tiles)
    chosen = {name: [sample.entry for sample in samples if sample.entry.defect_type == name] for name in TYPES}
    return [
        (name, len(entries), tiles[name], _span([e.width for e in entries]), _span([e.height for e in entries]))
        for name, entries in (*chosen.items(), ("all", [sample.entry for sample in samples]))
        if entries
    ]


def _span(pixels: Sequence[int]) -> str:
    return f"{min(pixels)}, {np.median(pixels):.0f}, {max(pixels)}"
