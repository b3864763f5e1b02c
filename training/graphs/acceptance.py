"""The check that another precision may be served instead of float32: what it loses in quality and gains in speed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime

from training.dataset.samples import Sample
from training.evaluation.figures import Outcomes, dice_by_type, dice_pooled, join, measure, outcomes_at
from training.evaluation.image_results import result_of
from training.evaluation.novelty import novelty_limit
from training.evaluation.operating_point import Chosen, choose
from training.graphs.session import open_session, predict_onnx, run
from training.params import EvaluateParams, QuantizeParams


@dataclass(frozen=True)
class Quality:
    """What a graph finds on the images that were not trained on, at its own operating point.

    Attributes:
        chosen: the operating point and the limits, chosen on the graph's own predictions of the validation part, by the
            rule of the stage evaluate.
        novelty_limit: chosen on the graph's own novelty of the validation part.
        unfamiliar: {part: number of images whose novelty exceeds the limit}.
        outcomes: {part: outcomes}, for `validation` and `test` (or `test_leaky`).
    """

    chosen: Chosen
    novelty_limit: float
    unfamiliar: Mapping[str, int]
    outcomes: Mapping[str, Outcomes]

    @property
    def dice(self) -> dict[str, float]:
        """Dice of the defective images of all parts together: for each type, and for `all`."""
        return dice_of(list(self.outcomes.values()))

    def figures(self) -> dict[str, Any]:
        """Return what was chosen, and every figure of each part."""
        parts = {part: measure(outcomes) for part, outcomes in self.outcomes.items()}
        return {
            "operating_point": asdict(self.chosen.point),
            "review_score": self.chosen.review_score,
            "tiles": asdict(self.chosen.of_tiles),
            "novelty_limit": self.novelty_limit,
            "unfamiliar": dict(self.unfamiliar),
            **parts,
        }


def dice_of(parts: Sequence[Outcomes]) -> dict[str, float]:
    """Return the Dice of the defective images of all parts together: for each type, and for `all`."""
    both = join(parts)
    defective = both.take(both.defective)
    return {"all": dice_pooled(defective), **dice_by_type(defective)}


def measure_quality(graph: Path, parts: Mapping[str, Sequence[Sample]], params: EvaluateParams) -> Quality:
    """Segment every image of the parts, choose operating point and limits on `validation`, and count."""
    session = open_session(graph)
    predictions = {
        part: predict_onnx(session, samples, description=f"{graph.stem} {part}") for part, samples in parts.items()
    }
    results = {part: [result_of(prediction) for prediction in found] for part, found in predictions.items()}
    novelties = {part: [prediction.novelty for prediction in found] for part, found in predictions.items()}
    limit = novelty_limit(novelties["validation"])
    chosen = choose(results["validation"], params)
    return Quality(
        chosen,
        limit,
        {part: sum(value > limit for value in values) for part, values in novelties.items()},
        {part: outcomes_at(of_part, chosen.point) for part, of_part in results.items()},
    )


def speed_up(slow: Path, fast: Path, samples: Sequence[Sample]) -> float:
    """Return how many times as fast `fast` segments an image, the median over the samples.

    Each graph has one thread, as when it is served. Each image is segmented with one graph and at once with the other,
    in alternating order, and the thread's own CPU time counts, so that a busy machine changes little.
    """
    sessions = [open_session(graph, threads=1) for graph in (slow, fast)]
    for session in sessions:
        run(session, samples[0].image)  # the first call allocates memory
    return median(_ratio(sessions, sample.image, flipped=place % 2 == 1) for place, sample in enumerate(samples))


def _ratio(sessions: Sequence[onnxruntime.InferenceSession], image: np.ndarray, *, flipped: bool) -> float:
    seconds = {}
    for session in sessions[::-1] if flipped else sessions:
        started = time.thread_time()
        run(session, image)
        seconds[session] = time.thread_time() - started
    return seconds[sessions[0]] / seconds[sessions[1]]


def losses(reference: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Return by how much each Dice of `other` is lower than the reference's."""
    return {name: dice - other[name] for name, dice in reference.items()}


def excess(lost: Mapping[str, float], params: QuantizeParams) -> dict[str, float]:
    """Return {name of a Dice that falls by more than is allowed: what is allowed}."""
    limits = {name: params.max_dice_loss if name == "all" else params.max_dice_loss_of_type for name in lost}
    return {name: most for name, most in limits.items() if lost[name] > most}


def refusals(lost: Mapping[str, float], speed_up: float | None, params: QuantizeParams) -> list[str]:
    """Return the reasons not to serve a precision; empty if it may be served. speed_up: None if it was not measured."""
    reasons = [
        f"Dice of {name} falls by {lost[name]:.4f}; at most {most} is allowed (quantize.max_… in params.yaml)"
        for name, most in excess(lost, params).items()
    ]
    if speed_up is not None and speed_up < params.min_speed_up:
        required = f"at least {params.min_speed_up} is required (quantize.min_speed_up)"
        reasons.append(f"it is only {speed_up:.2f} times as fast; {required}")
    return reasons
