"""What the report says of the verdicts: what each is worth on all folds, and where their limits should be chosen.

No tile chooses a limit for itself: a fold's limits come from its validation part or, nested, from the test parts of the
other folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tiles.operating_point import tile_score
from training.dataset.index import FREE
from training.evaluation.figures import interval
from training.evaluation.image_results import Result, read_results
from training.evaluation.operating_point import choose_limits
from training.evaluation.verdicts import verdicts_of
from training.params import EvaluateParams

RATES = (0.01, 0.02, 0.035, 0.05, 0.1)  # shares of what has no defect that may raise an alarm
VERDICTS = ("ok", "review", "defect")
SAMPLES, SEED = 1000, 20
KINDS = ("photographs", "tiles")
RARE = 0.01  # share of tiles with a defect where a line makes few: an alarm is worth less there than on the dataset


@dataclass(frozen=True)
class Judged:
    """Images or tiles with their scores: arrays of shape (N,).

    Attributes:
        tile: str, the tile that it shows or is. A tile's begins with its fold: sorted, tiles stand as `join_tiles` puts
            them, so that the intervals are over the same draws as those of `tile_intervals`.
        score: float, 0–1.
        defective, sound: bool; an image with a defect type and an empty mask is neither.
    """

    tile: np.ndarray
    score: np.ndarray
    defective: np.ndarray
    sound: np.ndarray


def _judged(rows: Sequence[tuple[str, float, bool, bool]]) -> Judged:
    tile, score, defective, sound = zip(*rows, strict=True)
    return Judged(np.array(tile), np.array(score), np.array(defective), np.array(sound))


def _photographs(results: Sequence[Result]) -> Judged:
    """Return each image; it is defective if its true mask has a pixel."""
    rows = [(r.tile, r.score, bool(r.counts.defect.sum()), r.defect_type == FREE) for r in results]
    return _judged(rows)


def _tiles(images: Judged, fold: int) -> Judged:
    """Return each tile: defective if one of its images is, sound if all are."""
    groups = [(tile, images.tile == tile) for tile in np.unique(images.tile)]
    return _judged(
        [
            (
                f"{fold:02} {tile}",
                tile_score(images.score[of].tolist()),
                bool(images.defective[of].any()),
                bool(images.sound[of].all()),
            )
            for tile, of in groups
        ]
    )


def _join(parts: Sequence[Judged]) -> Judged:
    columns = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Judged))
    return Judged(*columns)


def _shares(chosen: np.ndarray, among: np.ndarray, tile: np.ndarray) -> dict[str, Any]:
    """Return how many of some are chosen, and the share's 95 % interval by bootstrap over tiles; no share of none.

    Shapes: (N,) bool, (N,) bool and (N,) str.
    """
    names, index = np.unique(tile, return_inverse=True)
    found = np.bincount(index, weights=chosen & among, minlength=len(names))  # (tiles,)
    total = np.bincount(index, weights=among, minlength=len(names))
    draws = np.random.default_rng(SEED).integers(len(names), size=(SAMPLES, len(names)))
    of = total[draws].sum(axis=1)
    shares = found[draws].sum(axis=1)[of > 0] / of[of > 0]
    within = interval(shares.tolist()) if len(shares) else None
    return {"number": int(found.sum()), "of": int(total.sum()), "interval": within}


def verdict_figures(folders: Sequence[Path], params: EvaluateParams) -> dict[str, Any]:
    """Return what the verdicts are worth, and what is found at each rate of false alarms, over all folds together."""
    parts = {part: [_photographs(read_results(f / f"{part}.csv")) for f in folders] for part in ("validation", "test")}
    by_kind = {
        "photographs": parts,
        "tiles": {part: [_tiles(images, fold) for fold, images in enumerate(each)] for part, each in parts.items()},
    }
    return {
        kind: {
            "verdicts": _worth(each["validation"], each["test"], params),
            "rates": _rates(each["validation"], each["test"]),
        }
        for kind, each in by_kind.items()
    }


def _worth(validation: Sequence[Judged], test: Sequence[Judged], params: EvaluateParams) -> dict[str, Any]:
    limits = [choose_limits(part.score[part.sound].tolist(), params) for part in validation]
    verdicts = np.concatenate([verdicts_of(part.score, chosen) for part, chosen in zip(test, limits, strict=True)])
    every = _join(test)
    return {
        name: {
            "share": _shares(verdicts == name, np.ones(len(verdicts), bool), every.tile),
            "defective": _shares(every.defective, verdicts == name, every.tile),
        }
        for name in VERDICTS
    }


def _rates(validation: Sequence[Judged], test: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return what is found and what is a false alarm at each rate, with limits from validation and nested ones."""
    nested = [_join([*test[:fold], *test[fold + 1 :]]) for fold in range(len(test))] if len(test) > 1 else []
    sources = {"validation": validation, "nested": nested}
    return [
        {"rate": rate, **{name: _alarms(test, source, rate) for name, source in sources.items() if source}}
        for rate in RATES
    ]


def _alarms(test: Sequence[Judged], source: Sequence[Judged], rate: float) -> dict[str, Any]:
    params = EvaluateParams.model_construct(false_alarm_rate=rate, review_rate=None)
    limits = [choose_limits(part.score[part.sound].tolist(), params).alarm_score for part in source]
    alarm = np.concatenate([part.score >= limit for part, limit in zip(test, limits, strict=True)])
    every = _join(test)
    return {
        "found": _shares(alarm, every.defective, every.tile),
        "false_alarms": _shares(alarm, every.sound, every.tile),
    }


def if_defects_were_rare(tiles: Mapping[str, Any]) -> dict[str, float] | None:
    """Return what the verdict `defect` on a tile is worth where few tiles have a defect.

    None if no tile with a defect gets it, or there is no rate of false alarms.

    tiles: the figures of all folds, as `report_tiles.by_tile` gives them. Shares, 0–1: tested, of the tested tiles with
    a defect; share, RARE; right, of the verdicts `defect` that would be right; lowest, highest: the same at the ends of
    the false alarms' interval.
    """
    found, false = (tiles.get(name) for name in ("found_share", "false_alarm_share"))
    if not (found and false and found["value"]):
        return None

    def right(false_alarms: float) -> float:
        rare = RARE * found["value"]
        return float(rare / (rare + (1 - RARE) * false_alarms))

    low, high = false["interval"]
    defective, sound = (tiles[name]["value"] for name in ("defective_tiles", "sound_tiles"))
    return {
        "tested": defective / (defective + sound),
        "share": RARE,
        "right": right(false["value"]),
        "lowest": right(high),
        "highest": right(low),
    }


def share_text(found: Mapping[str, Any]) -> str:
    """Return a share with its numbers and interval."""
    if not found["of"]:
        return "none"
    low, high = found["interval"]
    return f"{found['number']} of {found['of']}, **{found['number'] / found['of']:.1%}** ({low:.1%}–{high:.1%})"


def verdict_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each verdict on photographs and on tiles: its share, and how many of these have a defect."""
    return [
        [kind, name, *(share_text(found[kind]["verdicts"][name][key]) for key in ("share", "defective"))]
        for kind in KINDS
        for name in VERDICTS
    ]


def rate_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each rate of false alarms, for photographs and tiles: false alarms and what is found."""
    return [
        [
            kind,
            f"{row['rate']:.1%}",
            *(
                share_text(row[source][key])
                for source in ("validation", "nested")
                if source in row
                for key in ("false_alarms", "found")
            ),
        ]
        for kind in KINDS
        for row in found[kind]["rates"]
    ]
