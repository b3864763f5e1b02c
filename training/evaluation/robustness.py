"""How the figures change when the images are perturbed and the operating point stays the same.

We measure all images with a defect type, and the first image of every tile without one.
"""

from collections.abc import Mapping
from typing import Any

from tiles.operating_point import OperatingPoint
from training.dataset.index import FREE
from training.dataset.samples import Sample
from training.evaluation.figures import measure, outcomes_at
from training.evaluation.image_results import result_of
from training.evaluation.perturbations import PERTURBATIONS
from training.evaluation.predict import predict
from training.network.served import ServedSegmenter
from training.params import RobustnessParams
from training.progress import progress

KEPT = ("dice_pooled", "dice_type_mean")  # the figures that are also written as shares of the unchanged images'


def choose_samples(samples: list[Sample]) -> list[Sample]:
    """Keep the images with a defect type, and the first image of every tile without one."""
    defective = [sample for sample in samples if sample.entry.defect_type != FREE]
    shown = {sample.entry.tile for sample in defective}
    free = {s.entry.tile: s for s in reversed(samples) if s.entry.tile not in shown}
    return [*defective, *reversed(free.values())]


def figures_of(
    segmenter: ServedSegmenter, samples: list[Sample], point: OperatingPoint, description: str
) -> dict[str, float]:
    """Predict and measure as the evaluation does; return the columns of a curve, 0–1.

    There is no share of false alarms without an image that has no defect.
    """
    results = [result_of(prediction) for prediction in predict(segmenter, samples, description=description)]
    figures = measure(outcomes_at(results, point))
    columns = {
        "dice_pooled": figures["dice_pooled"],
        "dice_type_mean": figures["dice_type_mean"],
        "found_share": figures["found_images"] / max(1, figures["defective_images"]),
        **({"false_alarm_share": figures["free"]["any_pixel_share"]} if figures["free"]["images"] else {}),
    }
    return {name: round(value, 5) for name, value in columns.items()}


def curves(
    segmenter: ServedSegmenter, samples: list[Sample], point: OperatingPoint, levels: RobustnessParams
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each perturbation's table, by ascending level; unchanged images are measured only once."""
    wanted = {name: {*getattr(levels, name)} - {change.neutral} for name, change in PERTURBATIONS.items()}
    with progress("robustness", (1 + sum(map(len, wanted.values()))) * len(samples)):
        unchanged = figures_of(segmenter, samples, point, "unchanged")
        found: dict[str, list[dict[str, Any]]] = {}
        for name, perturbation in PERTURBATIONS.items():
            figures = {perturbation.neutral: unchanged}
            for level in sorted(wanted[name]):
                changed = [perturbation.apply(sample, level) for sample in samples]
                figures[level] = figures_of(segmenter, changed, point, f"{name} {level:g}")
            found[name] = [_row(name, level, figures[level], unchanged) for level in sorted(figures)]
    return found


def _row(name: str, level: float, figures: Mapping[str, float], unchanged: Mapping[str, float]) -> dict[str, Any]:
    """Return a row of a table; `…_kept` is the share of the unchanged images' figure."""
    kept = {f"{figure}_kept": round(figures[figure] / (unchanged[figure] or 1.0), 5) for figure in KEPT}
    return {"change": name, "words": PERTURBATIONS[name].words, "level": level, **figures, **kept}
