"""Stage evaluate: weights → operating point, figures, per-image results and plots, of the network as it is served.

The operating point is chosen on the validation part alone; the test part is then measured once.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tiles.operating_point import OperatingPoint
from training.check_packages import check_packages
from training.checkpoint import load_model, write_aside
from training.dataset import load_part
from training.deployed import DeployedSegmenter
from training.errors import EvaluationError, exit_status
from training.measure import Outcomes, choose_operating_point, dice_each, measure, outcomes_at
from training.params import Params, load_params
from training.plots import write_calibration, write_confusion, write_gallery, write_precision_recall, write_rows
from training.precision import pick_device
from training.predict import Prediction, predict
from training.results import Result, result_of, write_results

FOLDER = Path("evaluation")
METRICS_FILE = FOLDER / "metrics.json"


def read_metrics() -> dict[str, Any]:
    """Read what this stage measured.

    Raises: EvaluationError, when it is not there.
    """
    if not METRICS_FILE.is_file():
        raise EvaluationError(f"{METRICS_FILE} is missing: run `dvc repro evaluate`, or `git checkout` it")
    metrics: dict[str, Any] = json.loads(METRICS_FILE.read_text())
    return metrics


def image_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Return one row an image, for evaluation/images.csv."""
    columns = {
        "image": outcomes.image,
        "tile": outcomes.tile,
        "type": outcomes.kind,
        "found_type": outcomes.found_type,
        "true_positive": outcomes.true_positive,
        "false_positive": outcomes.false_positive,
        "false_negative": outcomes.false_negative,
        "dice": dice_each(outcomes).round(4),
        "score": outcomes.score,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def write_report(
    predictions: list[Prediction], results: list[Result], point: OperatingPoint, figures: dict[str, Any], params: Params
) -> None:
    """Write per-image results, plots and, last, the metrics."""
    outcomes, plots = outcomes_at(results, point), FOLDER / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    write_rows(image_rows(outcomes), FOLDER / "images.csv")
    write_precision_recall([r.counts for r in results], plots / "precision_recall.csv")
    write_calibration([r.counts for r in results], plots / "calibration.csv")
    write_confusion(zip(outcomes.kind, outcomes.found_type, strict=True), plots / "confusion.csv")
    worst_first = sorted(zip(dice_each(outcomes), range(len(results)), strict=True))
    defective = [(predictions[index], dice) for dice, index in worst_first if results[index].defective]
    write_gallery(defective, point, params.evaluate.gallery_tiles, plots / "gallery")
    write_aside(METRICS_FILE, json.dumps(figures, indent=2) + "\n")


def main() -> None:
    """Run the stage."""
    check_packages()
    params = load_params()
    network, _ = load_model()
    segmenter = DeployedSegmenter(network).to(pick_device())
    FOLDER.mkdir(exist_ok=True)
    validation = [result_of(p) for p in predict(segmenter, load_part("validation", params), description="validation")]
    write_results(validation, FOLDER / "results_validation.csv")
    point = choose_operating_point(validation, params.evaluate.false_alarm_rate)
    predictions = list(predict(segmenter, load_part("test", params), description="test"))
    results = [result_of(prediction) for prediction in predictions]
    write_results(results, FOLDER / "results_test.csv")
    part = "test_leaky" if params.data_split.method == "random" else "test"
    figures = {"operating_point": asdict(point), part: measure(outcomes_at(results, point))}
    write_report(predictions, results, point, figures, params)


if __name__ == "__main__":
    sys.exit(exit_status(main))
