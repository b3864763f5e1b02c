"""What the report says of the verdicts: what each is worth on all folds, and where their limits should be chosen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from studies.judged import KINDS, Judged, Parts, join, share, share_text, sources
from training.evaluation.operating_point import choose_limits
from training.evaluation.verdicts import verdicts_of
from training.params import EvaluateParams

RATES = (0.01, 0.02, 0.035, 0.05, 0.1)  # shares of what has no defect that may raise an alarm
VERDICTS = ("ok", "review", "defect")
RARE = 0.01  # share of tiles with a defect where a line makes few: an alarm is worth less there than on the dataset


def verdict_figures(judged: Mapping[str, Parts], params: EvaluateParams) -> dict[str, Any]:
    """Return what the verdicts are worth, and what is found at each rate of false alarms, over all folds together."""
    return {kind: {"verdicts": _worth(parts, params), "rates": _rates(parts)} for kind, parts in judged.items()}


def _worth(parts: Parts, params: EvaluateParams) -> dict[str, Any]:
    limits = [choose_limits(part.score[part.sound].tolist(), params) for part in parts["validation"]]
    chosen = zip(parts["test"], limits, strict=True)
    verdicts = np.concatenate([verdicts_of(part.score, of_fold) for part, of_fold in chosen])
    every = join(parts["test"])
    return {
        name: {
            "share": share(verdicts == name, np.ones(len(verdicts), bool), every.tile),
            "defective": share(every.defective, verdicts == name, every.tile),
        }
        for name in VERDICTS
    }


def _rates(parts: Parts) -> list[dict[str, Any]]:
    """Return what is found and what is a false alarm at each rate, with limits from each source."""
    return [
        {"rate": rate, **{name: _alarms(parts["test"], source, rate) for name, source in sources(parts).items()}}
        for rate in RATES
    ]


def _alarms(test: Sequence[Judged], source: Sequence[Judged], rate: float) -> dict[str, Any]:
    params = EvaluateParams.model_construct(false_alarm_rate=rate, review_rate=None)
    limits = [choose_limits(part.score[part.sound].tolist(), params).alarm_score for part in source]
    alarm = np.concatenate([part.score >= limit for part, limit in zip(test, limits, strict=True)])
    every = join(test)
    return {
        "found": share(alarm, every.defective, every.tile),
        "false_alarms": share(alarm, every.sound, every.tile),
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
