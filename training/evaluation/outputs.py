"""The files that the stage evaluate writes, and how the later stages read its metrics."""

import json
from dataclasses import asdict
from typing import Any

from host.files import write_table, write_whole
from tiles.operating_point import OperatingPoint
from training.errors import EvaluationError
from training.evaluation.figures import Outcomes, dice_each, measure, outcomes_at
from training.evaluation.image_results import Result
from training.evaluation.plots import write_confusion, write_gallery, write_precision_recall, write_reliability
from training.evaluation.predict import Prediction
from training.evaluation.tile_figures import TileOutcomes, judge_tiles, measure_tiles, tile_intervals
from training.files import EVALUATION_FOLDER, METRICS_FILE, PLOTS_FOLDER
from training.params import Params

BOOTSTRAP_SAMPLES, SEED = 1000, 20
UNCERTAIN = ("found_share", "false_alarm_share", "auroc")  # the figures by tile whose intervals are written


def read_metrics() -> dict[str, Any]:
    """Read what the stage evaluate measured.

    Raises: EvaluationError, when it is missing.
    """
    if not METRICS_FILE.is_file():
        raise EvaluationError(f"{METRICS_FILE} is missing: run `dvc repro evaluate`, or `git checkout` it")
    metrics: dict[str, Any] = json.loads(METRICS_FILE.read_text(encoding="utf-8"))
    return metrics


def read_operating_point() -> OperatingPoint:
    """Read the operating point that the stage evaluate chose.

    Raises: EvaluationError, when it is missing.
    """
    return OperatingPoint(**read_metrics()["operating_point"])


def name_of_test_part(params: Params) -> str:
    """Return the name of the test part's figures, which is another one for a leaky split."""
    return "test_leaky" if params.data_split.method == "random" else "test"


def image_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Return one row for each image, for evaluation/images.csv."""
    columns = {
        "image": outcomes.name,
        "tile": outcomes.tile,
        "type": outcomes.defect_type,
        "found_type": outcomes.found_type,
        "true_positive": outcomes.true_positive,
        "false_positive": outcomes.false_positive,
        "false_negative": outcomes.false_negative,
        "dice": dice_each(outcomes).round(4),
        "score": outcomes.score,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def write_outputs(
    predictions: list[Prediction],
    results: list[Result],
    point: OperatingPoint,
    tile_alarm_score: float,
    params: Params,
) -> None:
    """Write one row for each image, the plots and, last, the metrics of the test part."""
    outcomes = outcomes_at(results, point)
    counts = [result.counts for result in results]
    write_table(EVALUATION_FOLDER / "images.csv", image_rows(outcomes))
    write_precision_recall(counts, PLOTS_FOLDER / "precision_recall.csv")
    write_reliability(counts, PLOTS_FOLDER / "reliability.csv")
    write_confusion(zip(outcomes.defect_type, outcomes.found_type, strict=True), PLOTS_FOLDER / "confusion.csv")
    worst_first = sorted(zip(dice_each(outcomes), range(len(results)), strict=True))
    defective = [(predictions[index], dice) for dice, index in worst_first if results[index].defective]
    write_gallery(defective, point, params.evaluate.gallery_images, PLOTS_FOLDER / "gallery")
    part = name_of_test_part(params)
    tiles = {"alarm_score": tile_alarm_score, part: _tile_figures(judge_tiles(outcomes, tile_alarm_score))}
    figures = {"operating_point": asdict(point), part: measure(outcomes), "tiles": tiles}
    write_whole(METRICS_FILE, json.dumps(figures, indent=2) + "\n")


def _tile_figures(tiles: TileOutcomes) -> dict[str, Any]:
    """Return the figures by tile, and the ends of the 95 % intervals of shares and AUROC."""
    bounds = tile_intervals(tiles, samples=BOOTSTRAP_SAMPLES, seed=SEED)
    kept = {name: dict(zip(("low", "high"), ends, strict=True)) for name, ends in bounds.items() if name in UNCERTAIN}
    return {**measure_tiles(tiles), "interval": kept}
