"""What remains of a prediction once it is counted: one row an image, from which every figure is computed.

A table holds the counts at a grid of thresholds, so that another operating point needs no new prediction.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tiles import DEFECT_TYPES
from tiles.operating_point import score
from training.errors import DatasetError
from training.metrics import LEVELS, Counts, count
from training.predict import Prediction

THRESHOLDS = (1, 2, 4, *range(8, 248, 8), 250, 252, 254, 255)  # 1–255, finer where the network is sure


@dataclass(frozen=True)
class Result:
    """One image, counted.

    Attributes:
        image, tile: names; kind: the type by the published folder, `Free` included.
        counts: of true defective and sound pixels by their probability.
        types: (256,) uint8; at each threshold the type (from 1) that most predicted pixels have, 0 where there is none.
        score: of the tile, 0–1.
        names: of the types, in their order.
    """

    image: str
    tile: str
    kind: str
    counts: Counts
    types: np.ndarray
    score: float
    names: tuple[str, ...] = DEFECT_TYPES

    @property
    def defective(self) -> bool:
        """Whether the true mask holds a pixel."""
        return bool(self.counts.defect.any())


def result_of(prediction: Prediction) -> Result:
    """Count one prediction."""
    entry, names = prediction.sample.entry, prediction.sample.types
    types, of_tile = _types(prediction), score(prediction.probability)
    return Result(entry.image, entry.tile, entry.type, count(prediction), types, of_tile, names)


def _types(prediction: Prediction) -> np.ndarray:
    numbers = range(1, 1 + len(prediction.sample.types))
    each = [np.bincount(prediction.probability[prediction.type == k], minlength=LEVELS) for k in numbers]
    at_least = np.cumsum(np.stack(each)[:, ::-1], axis=1)[:, ::-1]  # (types, 256) pixels of each
    return np.where(at_least.any(axis=0), 1 + at_least.argmax(axis=0), 0).astype(np.uint8)


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write the table: counts between neighbouring THRESHOLDS, and the type at each."""
    rows = [_row(result) for result in results]
    aside = path.with_name(f"{path.name}.new")
    with aside.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    aside.replace(path)


def _row(result: Result) -> dict[str, Any]:
    edges = (0, *THRESHOLDS)
    return {
        "image": result.image,
        "tile": result.tile,
        "type": result.kind,
        "score": result.score,
        "types": ",".join(result.names),
        **dict(zip([f"defect_{e}" for e in edges], np.add.reduceat(result.counts.defect, edges).tolist(), strict=True)),
        **dict(zip([f"sound_{e}" for e in edges], np.add.reduceat(result.counts.sound, edges).tolist(), strict=True)),
        **{f"type_{threshold}": int(result.types[threshold]) for threshold in THRESHOLDS},
    }


def read_results(path: Path) -> list[Result]:
    """Read a table. Its results are exact at THRESHOLDS.

    Raises: DatasetError, when it is not there or is not such a table.
    """
    try:
        with path.open(newline="") as file:
            return [_result(row) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    except (KeyError, ValueError) as error:
        raise DatasetError(f"{path} is not a table of results ({error}): delete it and run again") from None


def _result(row: dict[str, str]) -> Result:
    edges = np.array((0, *THRESHOLDS))
    defect, sound, types = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.uint8)
    defect[edges] = [int(row[f"defect_{edge}"]) for edge in edges]
    sound[edges] = [int(row[f"sound_{edge}"]) for edge in edges]
    types[edges[1:]] = [int(row[f"type_{threshold}"]) for threshold in THRESHOLDS]
    names = tuple(row["types"].split(",")) if "types" in row else DEFECT_TYPES  # a table of the published types' time
    return Result(row["image"], row["tile"], row["type"], Counts(defect, sound), types, float(row["score"]), names)
