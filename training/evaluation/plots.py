"""The tables that `dvc plots` draws: dvc.yaml lists the plots, .dvc/plots has their templates.

Every table has a column `part`. Choose by `validation`; the test part is for the model that was chosen.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from host.files import write_table
from training.dataset.index import FREE
from training.evaluation.bootstrap import bootstrap, interval, of_one_tile
from training.evaluation.counts import LEVELS, Counts, pool, precision_recall
from training.evaluation.figures import Outcomes, dice_by_type, dice_pooled, mean_of_types
from training.evaluation.flat import flat
from training.evaluation.tile_figures import TileOutcomes

RELIABILITY_BINS = 16  # of equal width
BOOTSTRAP_SAMPLES, SEED = 500, 20
OF_ALL = {"dice_pooled": "all, pooled", "dice_type_mean": "mean of types"}  # the rows beside those of the types
Row = dict[str, Any]


def write_scores(parts: Mapping[str, Outcomes], alarm_score: float, path: Path) -> None:
    """Write the score of each image with a defect and of each Free image, beside the alarm score."""
    rows = [
        {"part": part, "image": name, "defective": int(defective), "score": score, "alarm_score": alarm_score}
        for part, outcomes in parts.items()
        for name, kind, defective, score in zip(
            outcomes.name, outcomes.defect_type, outcomes.defective, outcomes.score, strict=True
        )
        if defective or kind == FREE
    ]
    write_table(path, rows)


def write_precision_recall(parts: Mapping[str, Sequence[Counts]], chosen: int, path: Path) -> None:
    """Write threshold, precision and recall of the pixels pooled over all images. chosen: the operating point's."""
    rows = [
        {
            "part": part,
            "threshold": threshold,
            "precision": round(precision, 5),
            "recall": round(recall, 5),
            "chosen": int(threshold == chosen),
        }
        for part, counts in parts.items()
        for threshold, precision, recall in precision_recall(counts)
    ]
    write_table(path, rows)


def write_detection(
    images: Mapping[str, Outcomes],
    alarm_score: float,
    tiles: Mapping[str, TileOutcomes],
    tile_alarm_score: float,
    path: Path,
) -> None:
    """Write for each alarm score the shares of sound and of defective photographs, and of tiles, that reach it."""
    rows: list[Row] = []
    for part, outcomes in images.items():
        judged = outcomes.take(outcomes.defective | (outcomes.defect_type == FREE))
        each = {
            "photograph": (judged.score, judged.defective, alarm_score),
            "tile": (tiles[part].score, tiles[part].defective, tile_alarm_score),
        }
        rows += [{"part": part, "of": of, **row} for of, columns in each.items() for row in _detection(*columns)]
    write_table(path, rows)


def _detection(score: np.ndarray, defective: np.ndarray, chosen: float) -> Iterator[Row]:
    above_all = [score.max() + 0.0001] if len(score) else []  # where the curve begins
    for level in sorted({*score.tolist(), *above_all, chosen}, reverse=True):
        alarm = score >= level
        yield {
            "alarm_score": level,
            "false_alarms": _share(alarm, ~defective),
            "found": _share(alarm, defective),
            "chosen": int(level == chosen),
        }


def _share(chosen: np.ndarray, among: np.ndarray) -> float:
    return round(int((chosen & among).sum()) / max(1, int(among.sum())), 5)


def write_dice_by_type(parts: Mapping[str, Outcomes], path: Path) -> None:
    """Write the Dice of each type, of all defective images and the mean of types, with 95 % intervals over tiles.

    A single tile has no interval, nor has a mean with a type of a single tile; the mean's draws show every type, and
    with many types none does.
    """
    rows: list[Row] = []
    for part, outcomes in parts.items():
        drawn = [flat(each) for each in bootstrap(outcomes, samples=BOOTSTRAP_SAMPLES, seed=SEED, figures=_dice)]
        alone = of_one_tile(outcomes)
        for name, dice in flat(_dice(outcomes)).items():
            values = [each[name] for each in drawn if name in each and name not in alone]
            low, high = (round(bound, 5) for bound in interval(values)) if values else ("", "")
            kind = name.removeprefix("dice_by_type.")
            of = outcomes.take(outcomes.defective & ((outcomes.defect_type == kind) | (name in OF_ALL)))
            rows.append(
                {"part": part, "type": OF_ALL.get(name, kind), "dice": round(dice, 5), "low": low, "high": high}
                | {"images": len(of), "tiles": len(np.unique(of.tile))}
            )
    write_table(path, rows)


def _dice(outcomes: Outcomes) -> dict[str, Any]:
    if not outcomes.defective.any():
        return {}
    types = dice_by_type(outcomes)
    pooled = dice_pooled(outcomes.take(outcomes.defective))
    return {"dice_pooled": pooled, "dice_type_mean": mean_of_types(types), "dice_by_type": types}


def write_confusion(parts: Mapping[str, Outcomes], types: Sequence[str], path: Path) -> None:
    """Write how many images of each actual type are predicted as each type, and as shares of the actual type.

    `Free` is predicted if no pixel is found. Pairs that never occur are written as well.
    """
    names = (FREE, *types)
    rows: list[Row] = []
    for part, outcomes in parts.items():
        found = np.where(outcomes.found_type == "", FREE, outcomes.found_type)
        for actual in names:
            of_type = outcomes.defect_type == actual
            rows += [
                {"part": part, "actual": actual, "predicted": name, "images": int((of_type & (found == name)).sum())}
                | {"share": _share(found == name, of_type)}
                for name in names
            ]
    write_table(path, rows)


def write_reliability(parts: Mapping[str, Sequence[Counts]], path: Path) -> None:
    """Write the reliability diagram: the share of defective pixels among pixels of similar probability."""
    write_table(path, [{"part": part, **row} for part, counts in parts.items() for row in _reliability(pool(counts))])


def _reliability(pooled: Counts) -> Iterator[Row]:
    levels, width = np.arange(LEVELS), LEVELS // RELIABILITY_BINS
    for first in range(0, LEVELS, width):
        defect, sound = pooled.defect[first : first + width], pooled.sound[first : first + width]
        if pixels := int((defect + sound).sum()):
            mean = float(((defect + sound) * levels[first : first + width]).sum()) / pixels / (LEVELS - 1)
            yield {"probability": round(mean, 4), "defective": round(int(defect.sum()) / pixels, 4), "pixels": pixels}
