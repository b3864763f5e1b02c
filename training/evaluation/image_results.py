"""What is kept of a prediction: one row of counts for each image, from which every figure is computed.

A table has the counts at a grid of thresholds, so that another operating point needs no new prediction.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from host.files import write_table
from tiles import DEFECT_TYPES
from tiles.operating_point import score
from training.errors import DatasetError
from training.evaluation.counts import LEVELS, Counts, count
from training.evaluation.predict import Prediction
from training.files import EVALUATION_FOLDER

WRITERS = f"`dvc repro evaluate` writes the tables in {EVALUATION_FOLDER}, `python -m studies.crossval` all others"
THRESHOLDS = (1, 2, 4, *range(8, 248, 8), 250, 252, 254, 255)  # 1–255, finer where the network is sure


@dataclass(frozen=True)
class Result:
    """One image, counted.

    Attributes:
        name: of the image.
        tile: the tile that it shows.
        defect_type: the type given by the image's folder, or Free.
        counts: the numbers of true defective and true sound pixels at each probability.
        types: (256,) uint8; for each threshold the type (from 1) that most predicted pixels have, 0 if there are none.
        score: the image's score, 0–1.
        type_names: the defect types, in the order of their numbers.
    """

    name: str
    tile: str
    defect_type: str
    counts: Counts
    types: np.ndarray
    score: float
    type_names: tuple[str, ...] = DEFECT_TYPES

    @property
    def defective(self) -> bool:
        """Whether the true mask has a defective pixel."""
        return bool(self.counts.defect.any())


def result_of(prediction: Prediction) -> Result:
    """Count one prediction."""
    entry = prediction.sample.entry
    return Result(
        name=entry.name,
        tile=entry.tile,
        defect_type=entry.defect_type,
        counts=count(prediction),
        types=_types(prediction),
        score=score(prediction.probability),
        type_names=prediction.sample.types,
    )


def _types(prediction: Prediction) -> np.ndarray:
    numbers = range(1, 1 + len(prediction.sample.types))
    each = [np.bincount(prediction.probability[prediction.defect_type == k], minlength=LEVELS) for k in numbers]
    # (types, 256): the pixels of each type whose probability reaches each threshold
    at_least = np.cumsum(np.stack(each)[:, ::-1], axis=1)[:, ::-1]
    return np.where(at_least.any(axis=0), 1 + at_least.argmax(axis=0), 0).astype(np.uint8)


def write_results(results: Iterable[Result], path: Path) -> None:
    """Write the table: the counts between neighbouring THRESHOLDS, and the type at each threshold."""
    write_table(path, [_row(result) for result in results])


def _row(result: Result) -> dict[str, Any]:
    edges = (0, *THRESHOLDS)
    return {
        "image": result.name,
        "tile": result.tile,
        "type": result.defect_type,
        "score": result.score,
        "types": ",".join(result.type_names),
        **dict(zip([f"defect_{e}" for e in edges], np.add.reduceat(result.counts.defect, edges).tolist(), strict=True)),
        **dict(zip([f"sound_{e}" for e in edges], np.add.reduceat(result.counts.sound, edges).tolist(), strict=True)),
        **{f"type_{threshold}": int(result.types[threshold]) for threshold in THRESHOLDS},
    }


def read_results(path: Path) -> list[Result]:
    """Read a table. Its results are exact at THRESHOLDS.

    Raises: DatasetError, when it is missing or not a table of results.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_result(row) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: {WRITERS}") from None
    except (KeyError, ValueError) as error:
        raise DatasetError(f"{path} is not a table of results ({error}): delete it; {WRITERS}") from None


def _result(row: dict[str, str]) -> Result:
    edges = np.array((0, *THRESHOLDS))
    defect, sound, types = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.uint8)
    defect[edges] = [int(row[f"defect_{edge}"]) for edge in edges]
    sound[edges] = [int(row[f"sound_{edge}"]) for edge in edges]
    types[edges[1:]] = [int(row[f"type_{threshold}"]) for threshold in THRESHOLDS]
    names = tuple(row["types"].split(","))
    return Result(row["image"], row["tile"], row["type"], Counts(defect, sound), types, float(row["score"]), names)
