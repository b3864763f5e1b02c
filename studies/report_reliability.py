"""What the report says of the scores: how often one means a defect, and what limits at a chance of one would do."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from studies.judged import KINDS, Judged, Parts, join, share, share_text, sources

BANDS = (0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.0)  # edges of scores; most scores are near 0 or 1
DOUBT = 0.02  # the chance of a defect above which a person should look


def reliability(judged: Mapping[str, Parts]) -> dict[str, Any]:
    """Return, for photographs and tiles, how often scores mean a defect, and what a limit at DOUBT would do.

    bands: score from and to, how many have a defect, and the mean chance of one that each source gives. limits: by
    source, the share below the limit, and how many of these have a defect.
    """
    return {kind: _of(parts) for kind, parts in judged.items()}


def _of(parts: Parts) -> dict[str, Any]:
    every = join(parts["test"])
    chances = {name: _chances(parts["test"], source, every.defective.mean()) for name, source in sources(parts).items()}
    band = np.clip(np.searchsorted(BANDS, every.score, side="right") - 1, 0, len(BANDS) - 2)
    everything = np.ones(len(band), bool)
    return {
        "bands": [
            {
                "from": low,
                "to": high,
                "defective": share(every.defective, band == place, every.tile),
                **{name: float(chance[band == place].mean()) for name, chance in chances.items()},
            }
            for place, (low, high) in enumerate(pairwise(BANDS))
            if (band == place).any()
        ],
        "limits": {
            name: {
                "below": share(chance < DOUBT, everything, every.tile),
                "defective": share(every.defective, chance < DOUBT, every.tile),
            }
            for name, chance in chances.items()
        },
    }


def _chances(test: Sequence[Judged], source: Sequence[Judged], share_of_defects: float) -> np.ndarray:
    """Return each test image's or tile's chance of a defect, (N,): isotonic regression on its fold's source.

    The source is weighted to the same share of defects as the test parts have: validation parts have fewer.
    """
    folds = zip(test, source, strict=True)
    return np.concatenate([_fit(known, share_of_defects).predict(fold.score) for fold, known in folds])


def _fit(known: Judged, share_of_defects: float) -> IsotonicRegression:
    defective = max(1, known.defective.sum())
    others = max(1, (~known.defective).sum())
    weights = np.where(known.defective, share_of_defects * others, (1 - share_of_defects) * defective)
    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(known.score, known.defective, weights)


def band_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each band of scores of photographs and of tiles."""
    return [
        [
            kind,
            f"{row['from']:g}–{row['to']:g}",
            share_text(row["defective"]),
            *(f"{row[name]:.1%}" for name in ("validation", "nested") if name in row),
        ]
        for kind in KINDS
        for row in found[kind]["bands"]
    ]


def limit_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each source of photographs and of tiles: what is below its limit, and has a defect."""
    return [
        [kind, name, share_text(row["below"]), share_text(row["defective"])]
        for kind in KINDS
        for name, row in found[kind]["limits"].items()
    ]
