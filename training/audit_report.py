"""The label audit's report: figures → Markdown. Every number in it is computed; it decides nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tiles import DEFECT_TYPES
from training import markdown
from training.audit_figures import SAMPLED_PAIRS, Audit, Correlations
from training.dataset import Sample
from training.index import FREE, TYPES
from training.label_rules import AGREEMENT, LEAST_PIXELS, REGION_MARGIN, SHOWN, Types, Vote, dice_pooled
from training.recover_tiles import EQUAL_SIZE, SAME_TILE, Difference, exposure

SIMPLE_RULE = 0.5  # the threshold of the simpler measure
TEMPLATE_FILE = Path(__file__).with_name("label_audit.md.template")


def render(audit: Audit) -> str:
    """Return the report: the template, filled with figures and tables."""
    samples = [sample for tile in audit.tiles for sample in tile]
    return TEMPLATE_FILE.read_text().format(
        doubtful=len(audit.doubtful),
        same_tile=SAME_TILE,
        simple_rule=SIMPLE_RULE,
        sampled=SAMPLED_PAIRS,
        equal_size=EQUAL_SIZE,
        correlations=_correlations(audit),
        images=len(samples),
        **_counts(audit),
        joined=table("tiles of the table | images of each | correlation", map(_difference, audit.joined)),
        parted=table("tile of the table | images of each | correlation", map(_difference, audit.parted)),
        exposures=_exposures(audit.tiles),
        least_pixels=LEAST_PIXELS,
        empty=_empty(audit),
        margin=REGION_MARGIN,
        shown=SHOWN,
        evidence=_evidence(audit.defects),
        missing=_missing(audit),
        agreed=_agreed(audit),
        agreement=AGREEMENT,
        unlike=_unlike(audit.votes_of_labelled),
        types=_types(audit.types),
        sizes=_sizes(samples, audit),
    )


def _counts(audit: Audit) -> dict[str, object]:
    """Return how the recovered tiles compare with the table's."""
    named = {sample.entry.tile for tile in audit.tiles for sample in tile}
    changed = {tile for difference in (*audit.joined, *audit.parted) for tile in difference.tiles}
    return {
        "recovered": len(audit.tiles),
        "defective": sum(any(sample.entry.type != FREE for sample in tile) for tile in audit.tiles),
        "named": len(named),
        "equal": len(named - changed),
        "rand": f"{audit.rand_index:.4f}",
        "alone": sum(len(tile) == 1 for tile in audit.tiles),
    }


def table(header: str, rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; header: its columns' names, separated by bars. Without rows it is "None."."""
    rows = list(rows)
    return markdown.table(header.split(" | "), rows) if rows else "None."


def _correlations(audit: Audit) -> str:
    limits = (SAME_TILE, SIMPLE_RULE)
    measures = {"with streaks, not turned": audit.plain, "without streaks, turned": audit.registered}
    return table(
        f"detail | pairs of | 5 % | median | 95 % | below {SAME_TILE} | below {SIMPLE_RULE}",
        [
            (detail, of, *_percentiles(values), *(sum(value < least for value in values) for least in limits))
            for detail, found in measures.items()
            for of, values in (("one tile", found.alike), ("two tiles", found.unlike))
        ],
    )


def _percentiles(values: Sequence[float]) -> list[str]:
    return [f"{value:.2f}" for value in np.percentile(values, (5, 50, 95))] if values else ["–"] * 3


def _difference(difference: Difference) -> tuple[str, str, str]:
    groups = "; ".join(
        f"{images[0]} and {len(images) - 1} more" if images[1:] else images[0] for images in difference.groups
    )
    return ", ".join(difference.tiles), groups, f"{difference.correlation:.2f}"


def _exposures(tiles: Sequence[Sequence[Sample]]) -> str:
    found = [(tile[0].entry, "".join(str(exposure(sample.entry.image)) for sample in tile)) for tile in tiles]
    return table(
        "tile | type of its first image | exposures in the counter's order",
        [(entry.tile, entry.type, exposures) for entry, exposures in found if sorted(exposures) != sorted("123456")],
    )


def _empty(audit: Audit) -> str:
    return table(
        "image | tile | type | defective pixels",
        [(entry.image, entry.tile, entry.type, entry.defect_pixels) for entry in audit.empty],
    )


def _evidence(found: Correlations) -> str:
    chosen = {"siblings, both labelled": found.alike, "a labelled image and one of another tile": found.unlike}
    return table(
        f"pairs of | pairs | 5 % | median | 95 % | {SHOWN} or more",
        [
            (of, len(values), *_percentiles(values), sum(value >= SHOWN for value in values))
            for of, values in chosen.items()
        ],
    )


def _missing(audit: Audit) -> str:
    return table(
        "image | tile | filed as | labelled siblings | inside | correlation | shows the defect",
        [
            (
                shown.entry.image, shown.entry.tile, shown.entry.type, shown.siblings, f"{shown.inside:.0%}",
                "–" if shown.correlation is None else f"{shown.correlation:.2f}", "yes" if shown.fires else "no",
            )
            for shown in audit.missing
        ],
    )  # fmt: skip


def _agreed(audit: Audit) -> str:
    def figures(kinds: Sequence[str]) -> list[str]:
        chosen = (
            [vote for vote in votes if vote.entry.type in kinds] for votes in (audit.votes, audit.votes_of_labelled)
        )
        return [figure for votes in chosen for figure in (str(len(votes)), f"{dice_pooled(votes):.3f}")]

    return table(
        "type | images | Dice | images, labelled only | Dice, labelled only",
        [("all", *figures(TYPES)), *((kind, *figures([kind])) for kind in DEFECT_TYPES)],
    )


def _unlike(votes: Sequence[Vote]) -> str:
    low = sorted((vote for vote in votes if vote.dice < AGREEMENT), key=lambda vote: (vote.dice, vote.entry.image))
    return table(
        "image | tile | type | siblings | pixels | of the majority | Dice",
        [
            (
                vote.entry.image,
                vote.entry.tile,
                vote.entry.type,
                vote.siblings,
                vote.mask,
                vote.majority,
                f"{vote.dice:.2f}",
            )
            for vote in low
        ],
    )


def _types(found: Sequence[Types]) -> str:
    return table(
        "images | Dice",
        [
            ("; ".join(f"{kind}: {', '.join(images)}" for kind, images in types.images.items()), f"{types.dice:.2f}")
            for types in found
        ],
    )


def _sizes(samples: Sequence[Sample], audit: Audit) -> str:
    tiles = Counter(kind for tile in audit.tiles for kind in {sample.entry.type for sample in tile})
    tiles["all"] = len(audit.tiles)
    chosen = {kind: [sample.entry for sample in samples if sample.entry.type == kind] for kind in TYPES}
    return table(
        "type | images | tiles | width | height",
        [
            (kind, len(entries), tiles[kind], _span([e.width for e in entries]), _span([e.height for e in entries]))
            for kind, entries in (*chosen.items(), ("all", [sample.entry for sample in samples]))
            if entries
        ],
    )


def _span(pixels: Sequence[int]) -> str:
    return f"{min(pixels)}, {np.median(pixels):.0f}, {max(pixels)}"
