"""Stage robustness: how the served network's figures move when the test images change, the operating point as it is.

evaluation/plots/robustness/<change>.csv holds a row a level, the unchanged images' among them. Measured are all images
of the test part that are filed under a defect type, and of each tile that shows none the first image.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from tiles.operating_point import OperatingPoint
from training.changes import CHANGES
from training.check_packages import check_packages
from training.checkpoint import load_model
from training.dataset import Sample, load_part
from training.deployed import DeployedSegmenter
from training.errors import exit_status
from training.evaluate import read_metrics
from training.index import FREE
from training.measure import measure, outcomes_at
from training.params import RobustnessParams, load_params
from training.plots import write_rows
from training.precision import pick_device
from training.predict import predict
from training.results import result_of

FOLDER = Path("evaluation/plots/robustness")


def choose_samples(samples: list[Sample]) -> list[Sample]:
    """Keep the images filed under a defect type, and the first image of each tile of which none is."""
    defective = [sample for sample in samples if sample.entry.type != FREE]
    shown = {sample.entry.tile for sample in defective}
    free = {s.entry.tile: s for s in reversed(samples) if s.entry.tile not in shown}
    return [*defective, *reversed(free.values())]


def figures_of(
    segmenter: DeployedSegmenter, samples: list[Sample], point: OperatingPoint, description: str
) -> dict[str, float]:
    """Predict and measure as the evaluation does; the columns of a curve, 0–1."""
    results = [result_of(prediction) for prediction in predict(segmenter, samples, description=description)]
    figures = measure(outcomes_at(results, point))
    columns = {
        "dice_pooled": figures["dice_pooled"],
        "dice_type_mean": figures["dice_type_mean"],
        "found_share": figures["found_images"] / max(1, figures["defective_images"]),
        "false_alarm_share": figures["free"]["any_pixel_share"],
    }
    return {name: round(value, 5) for name, value in columns.items()}


def curves(
    segmenter: DeployedSegmenter, samples: list[Sample], point: OperatingPoint, levels: RobustnessParams
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each change's table, by ascending level; the unchanged images are measured once for all."""
    unchanged = figures_of(segmenter, samples, point, "unchanged")
    found: dict[str, list[dict[str, Any]]] = {}
    for name, change in CHANGES.items():
        figures = {change.neutral: unchanged}
        for level in set(getattr(levels, name)) - {change.neutral}:
            changed = [change.apply(sample, level) for sample in samples]
            figures[level] = figures_of(segmenter, changed, point, f"{name} {level:g}")
        found[name] = [{"change": name, "level": level, **figures[level]} for level in sorted(figures)]
    return found


def main() -> None:
    """Run the stage; the folder appears whole or not at all."""
    check_packages()
    params = load_params()
    network, _ = load_model()
    point = OperatingPoint(**read_metrics()["operating_point"])
    segmenter = DeployedSegmenter(network).to(pick_device())
    tables = curves(segmenter, choose_samples(load_part("test", params)), point, params.evaluate.robustness)
    aside = FOLDER.with_name(f"{FOLDER.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, rows in tables.items():
        write_rows(rows, aside / f"{name}.csv")
    shutil.rmtree(FOLDER, ignore_errors=True)
    aside.replace(FOLDER)


if __name__ == "__main__":
    sys.exit(exit_status(main))
