"""One verdict per tile: what the mean score of a tile's images finds, its figures and their intervals.

A tile is defective if one of its images has a defect in its true mask, and sound if all its images are Free. A tile
that is neither, because its images with a defect type have empty masks, does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from tiles.operating_point import tile_score
from training.dataset.index import FREE
from training.evaluation.bootstrap import interval
from training.evaluation.figures import Outcomes


@dataclass(frozen=True)
class TileOutcomes:
    """What is found on each tile: arrays of shape (tiles,).

    Attributes:
        score: float, the mean score of the tile's images, 0–1.
        defective: bool, whether the tile has a defect; otherwise it is sound.
        alarm: bool, whether the score reaches the alarm score of tiles.
    """

    score: np.ndarray
    defective: np.ndarray
    alarm: np.ndarray

    def __len__(self) -> int:
        return len(self.score)

    def take(self, chosen: np.ndarray) -> "TileOutcomes":
        """Return some of the tiles, by index; repeated ones count again."""
        return TileOutcomes(*(getattr(self, field.name)[chosen] for field in fields(self)))


def judge_tiles(outcomes: Outcomes, alarm_score: float) -> TileOutcomes:
    """Judge each tile that counts by the mean score of its images."""
    rows = []
    for tile in np.unique(outcomes.tile):
        images = outcomes.take(outcomes.tile == tile)
        defective = bool(images.defective.any())
        if defective or (images.defect_type == FREE).all():
            score = tile_score(images.score.tolist())
            rows.append((score, defective, score >= alarm_score))
    table = np.array(rows, float).reshape(-1, 3)  # also if no tile counts
    return TileOutcomes(table[:, 0], table[:, 1] > 0, table[:, 2] > 0)


def join_tiles(parts: Sequence[TileOutcomes]) -> TileOutcomes:
    """Put the tiles of several folds together, each judged by its own fold's alarm score."""
    columns = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(TileOutcomes))
    return TileOutcomes(*columns)


def measure_tiles(tiles: TileOutcomes) -> dict[str, Any]:
    """Return the figures by tile; shares are 0–1. There is no share of no tiles, and no AUROC without both kinds."""
    found, false = int((tiles.alarm & tiles.defective).sum()), int((tiles.alarm & ~tiles.defective).sum())
    defective, sound = int(tiles.defective.sum()), int((~tiles.defective).sum())
    return {
        "defective_tiles": defective,
        "found_tiles": found,
        **({"found_share": found / defective} if defective else {}),
        "sound_tiles": sound,
        "false_alarms": false,
        **({"false_alarm_share": false / sound} if sound else {}),
        **({"auroc": float(roc_auc_score(tiles.defective, tiles.score))} if defective and sound else {}),
    }


def tile_intervals(tiles: TileOutcomes, *, samples: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each figure, over sets of tiles drawn with replacement, each as large as this one.

    Empty if there is no tile.
    """
    if not len(tiles):
        return {}
    draws = np.random.default_rng(seed).integers(len(tiles), size=(samples, len(tiles)))
    found = [measure_tiles(tiles.take(draw)) for draw in draws]
    return {name: interval([each[name] for each in found if name in each]) for name in measure_tiles(tiles)}
