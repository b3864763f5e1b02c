"""Scores the test predictions against consensus masks (`consensus_masks`) instead of the published ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from studies.consensus_masks import with_consensus
from studies.tile_frames import register_tiles
from tiles.operating_point import OperatingPoint
from training.evaluation.figures import Outcomes, join, outcomes_at
from training.evaluation.image_results import read_results, result_of, write_results
from training.evaluation.predict import Prediction

TABLE = "test_consensus.csv"


def write_consensus(predictions: Sequence[Prediction], folder: Path) -> None:
    """Write test_consensus.csv: the columns of test.csv, counted on the consensus of these photographs.

    The type is the consensus' as well. Images that `with_consensus` leaves out are missing. All photographs of a tile
    must be among the predictions, so a random split has no such table.
    """
    samples = [prediction.sample for prediction in predictions]
    agreed = {sample.entry.name: sample for sample in with_consensus(samples, register_tiles(samples))}
    scored = [replace(p, sample=agreed[p.sample.entry.name]) for p in predictions if p.sample.entry.name in agreed]
    write_results([result_of(prediction) for prediction in scored], folder / TABLE)


def consensus_outcomes(points: dict[Path, OperatingPoint]) -> Outcomes | None:
    """Return what all folds find, against the consensus; None unless every one has the table.

    points: the operating point of each run, by its folder.
    """
    if not all((folder / TABLE).is_file() for folder in points):
        return None
    return join([outcomes_at(read_results(folder / TABLE), point) for folder, point in points.items()])
