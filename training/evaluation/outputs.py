"""The files that the stage evaluate writes, and how the later stages read its metrics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from host.files import write_table, write_whole
from tiles.operating_point import OperatingPoint
from training.errors import EvaluationError
from training.evaluation.figures import Outcomes, dice_each, measure, outcomes_at
from training.evaluation.gallery import write_gallery
from training.evaluation.image_results import Result
from training.evaluation.operating_point import Chosen, Limits
from training.evaluation.plots import (
    write_confusion,
    write_detection,
    write_dice_by_type,
    write_precision_recall,
    write_reliability,
    write_scores,
)
from training.evaluation.predict import Prediction
from training.evaluation.tile_figures import TileOutcomes, judge_tiles, measure_tiles, tile_intervals
from training.evaluation.verdicts import measure_verdicts, verdicts_of
from training.files import EVALUATION_FOLDER, METRICS_FILE, PLOTS_FOLDER
from training.params import Params

BOOTSTRAP_SAMPLES, SEED = 1000, 20
UNCERTAIN = ("found_share", "false_alarm_share", "auroc")  # the figures by tile whose intervals are written
SHARE_OF = {"found_share": "defective_tiles", "false_alarm_share": "sound_tiles"}


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
    results: Mapping[str, Sequence[Result]], predictions: Sequence[Prediction], chosen: Chosen, params: Params
) -> None:
    """Write one row for each test image, the plots and, last, the metrics.

    results: of the parts `validation` and `test` (or `test_leaky`), in this order. predictions: of the test images.
    """
    outcomes = {part: outcomes_at(each, chosen.point) for part, each in results.items()}
    tiles = {part: judge_tiles(each, chosen.of_tiles.alarm_score) for part, each in outcomes.items()}
    test = outcomes[name_of_test_part(params)]
    write_table(EVALUATION_FOLDER / "images.csv", image_rows(test))
    _write_plots(results, outcomes, tiles, chosen, params)
    worst_first = sorted(zip(dice_each(test), range(len(test)), strict=True))
    defective = [(predictions[index], dice) for dice, index in worst_first if test.defective[index]]
    write_gallery(defective, chosen.point, params.evaluate.gallery_images, PLOTS_FOLDER / "gallery")
    # in the order of the columns of `dvc exp show`
    figures = {part: measure(each) | _worth(each, chosen.of_images) for part, each in outcomes.items()}
    of_tiles = {part: _tile_figures(each) | _worth(each, chosen.of_tiles) for part, each in tiles.items()}
    chosen_figures = {
        "operating_point": asdict(chosen.point),
        "review_score": chosen.review_score,
        "tiles": asdict(chosen.of_tiles) | of_tiles,
    }
    write_whole(METRICS_FILE, json.dumps(figures | chosen_figures, indent=2) + "\n")


def _write_plots(
    results: Mapping[str, Sequence[Result]],
    outcomes: Mapping[str, Outcomes],
    tiles: Mapping[str, TileOutcomes],
    chosen: Chosen,
    params: Params,
) -> None:
    """Write a table for each plot."""
    counts = {part: [result.counts for result in each] for part, each in results.items()}
    alarm_score = chosen.point.alarm_score
    write_scores(outcomes, alarm_score, PLOTS_FOLDER / "scores.csv")
    write_detection(outcomes, alarm_score, tiles, chosen.of_tiles.alarm_score, PLOTS_FOLDER / "detection.csv")
    write_precision_recall(counts, chosen.point.threshold, PLOTS_FOLDER / "precision_recall.csv")
    write_dice_by_type(outcomes, PLOTS_FOLDER / "dice_by_type.csv")
    write_confusion(outcomes, params.data_load.types, PLOTS_FOLDER / "confusion.csv")
    write_reliability(counts, PLOTS_FOLDER / "reliability.csv")


def _worth(judged: Outcomes | TileOutcomes, limits: Limits) -> dict[str, float]:
    return measure_verdicts(verdicts_of(judged.score, limits), judged.defective)


def _tile_figures(tiles: TileOutcomes) -> dict[str, Any]:
    """Return the figures by tile, and the ends of the 95 % intervals of shares and AUROC. One tile's share has none."""
    figures, bounds = measure_tiles(tiles), tile_intervals(tiles, samples=BOOTSTRAP_SAMPLES, seed=SEED)
    alone = {share for share, tiles_of in SHARE_OF.items() if figures[tiles_of] == 1}
    names = [name for name in bounds if name in UNCERTAIN and name not in alone]
    return {**figures, "interval": {name: dict(zip(("low", "high"), bounds[name], strict=True)) for name in names}}
