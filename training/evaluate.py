"""Stage evaluate: weights → threshold, figures, per-image results and plots, of the network exactly as it is served.

The threshold is chosen on the validation part alone; the test part is then measured once.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.check_packages import check_packages
from training.checkpoint import load_model, write_aside
from training.data_load import FREE, TYPES
from training.dataset import load_part, type_number
from training.deployed import DeployedSegmenter
from training.errors import exit_status
from training.metrics import (
    Counts,
    best_threshold,
    confusion_at,
    count,
    dice,
    dice_image_mean,
    dice_pooled,
    image_level,
    iou,
    majority_type,
    pool,
    predicted_pixels,
    score,
)
from training.params import Params, load_params
from training.plots import write_confusion, write_gallery, write_precision_recall, write_rows
from training.precision import pick_device
from training.predict import Prediction, predict

FOLDER = Path("evaluation")
METRICS_FILE = FOLDER / "metrics.json"
LARGE_FALSE_ALARM = 20  # pixels: the second of the two stated false-alarm rules


@dataclass(frozen=True)
class Result:
    """One image's prediction with its counts and, at the threshold, its most likely type (0 where nothing is found)."""

    prediction: Prediction
    counts: Counts
    type: int

    @property
    def kind(self) -> str:
        """The type by the published folder, `Free` included."""
        return self.prediction.sample.entry.type

    @property
    def defective(self) -> bool:
        """Whether the true mask holds a pixel."""
        return bool(self.counts.defect.any())


def choose_threshold(segmenter: DeployedSegmenter, params: Params) -> int:
    """Return the grey level (1–255) with the highest Dice pooled over all validation images."""
    predictions = predict(segmenter, load_part("validation", params), description="validation")
    return best_threshold([count(prediction) for prediction in predictions])


def measure(results: list[Result], threshold: int) -> dict[str, Any]:
    """Return the figures of a part; shares and scores are 0–1."""
    defective = [result.counts for result in results if result.defective]
    everything = [result.counts for result in results]
    types = {
        kind: dice_pooled([r.counts for r in results if r.kind == kind], threshold) for kind in TYPES if kind != FREE
    }
    found = [r for r in results if r.defective and confusion_at(r.counts, threshold)[0]]
    return {
        "images": len(results),
        "tiles": len({r.prediction.sample.entry.tile for r in results}),
        "defective_images": len(defective),
        "dice_pooled": dice_pooled(defective, threshold),
        "iou_pooled": iou(pool(defective), threshold),
        "dice_pooled_with_free": dice_pooled(everything, threshold),
        "iou_pooled_with_free": iou(pool(everything), threshold),
        "dice_image_mean": dice_image_mean(defective, threshold),
        "dice_by_type": types,
        "dice_type_mean": sum(types.values()) / len(types),
        "found_images": len(found),
        "type_right_of_found": sum(r.type == type_number(r.kind) for r in found) / max(1, len(found)),
        **image_level([r.defective for r in results], [score(r.counts) for r in results]),
        "free": false_alarms([r.counts for r in results if r.kind == FREE], threshold),
    }


def false_alarms(counts: list[Counts], threshold: int) -> dict[str, float]:
    """Return how many of the Free images show any predicted pixel, and how many more than LARGE_FALSE_ALARM."""
    pixels = [predicted_pixels(c, threshold) for c in counts]
    alarms = {
        "any_pixel": sum(p > 0 for p in pixels),
        f"over_{LARGE_FALSE_ALARM}_px": sum(p > LARGE_FALSE_ALARM for p in pixels),
    }
    shares = {f"{name}_share": value / max(1, len(counts)) for name, value in alarms.items()}
    return {"images": len(counts), **alarms, **shares}


def image_rows(results: list[Result], threshold: int) -> list[dict[str, Any]]:
    """Return one row an image, for evaluation/images.csv."""
    rows = []
    for result in results:
        entry = result.prediction.sample.entry
        tp, fp, fn = confusion_at(result.counts, threshold)
        figures = {"true_positive": tp, "false_positive": fp, "false_negative": fn}
        scores = {"dice": round(dice(result.counts, threshold), 4), "score": round(score(result.counts), 4)}
        found = TYPES[result.type - 1] if result.type else ""
        rows.append(
            {"image": entry.image, "tile": entry.tile, "type": entry.type, "found_type": found, **figures, **scores}
        )
    return rows


def write_report(results: list[Result], figures: dict[str, Any], params: Params) -> None:
    """Write per-image results, plots and, last, the metrics."""
    threshold = figures["threshold"]
    plots = FOLDER / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    write_rows(image_rows(results, threshold), FOLDER / "images.csv")
    write_precision_recall([r.counts for r in results], plots / "precision_recall.csv")
    write_confusion([(r.kind, r.type) for r in results], plots / "confusion.csv")
    defective = sorted((r for r in results if r.defective), key=lambda r: dice(r.counts, threshold))
    write_gallery([r.prediction for r in defective], threshold, params.evaluate.gallery_tiles, plots / "gallery")
    write_aside(METRICS_FILE, json.dumps(figures, indent=2) + "\n")


def main() -> None:
    """Run the stage."""
    check_packages()
    params = load_params()
    network, _ = load_model()
    segmenter = DeployedSegmenter(network).to(pick_device())
    threshold = choose_threshold(segmenter, params)
    results = [
        Result(prediction, count(prediction), majority_type(prediction, threshold))
        for prediction in predict(segmenter, load_part("test", params), description="test")
    ]
    leaky = params.data_split.method == "random"
    figures = {"threshold": threshold, "test_leaky" if leaky else "test": measure(results, threshold)}
    write_report(results, figures, params)


if __name__ == "__main__":
    sys.exit(exit_status(main))
