"""What the verdicts are worth: how many images or tiles get each, and how many of these have a defect."""

from collections.abc import Sequence

import numpy as np

from tiles.operating_point import verdict_of
from training.evaluation.operating_point import Limits


def verdicts_of(scores: Sequence[float] | np.ndarray, limits: Limits) -> np.ndarray:
    """Return the verdict on each score. Shapes: (N,) float, 0–1 → (N,) str."""
    return np.array([verdict_of(score, limits.alarm_score, limits.review_score) for score in scores], dtype=str)


def measure_verdicts(verdicts: np.ndarray, defective: np.ndarray) -> dict[str, float]:
    """Return the share that a person should look at, and the share of defective ones among those called ok.

    Shapes: (N,) str and (N,) bool.
    """
    ok = verdicts == "ok"
    return {
        "review_share": float((verdicts == "review").mean()) if len(verdicts) else 0.0,
        "defective_share_of_ok": int((ok & defective).sum()) / max(1, int(ok.sum())),
    }
