"""What became of each photograph, and what its row of the table says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from client.analysis import Analysis, Model
from client.photographs import Photograph

Status = Literal["answered", "failed", "not sent"]
COLUMNS = (
    "file", "part", "tile", "status", "verdict", "defective", "type", "score", "alarm_score", "threshold",
    "defect_pixels", "defects", "width", "height", "novelty", "familiar", "warnings", "model", "model_sha256",
    "model_commit", "model_dirty", "mask", "overlay", "error",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What is kept of an answer: enough for the table and for the tile's verdict, without the mask."""

    verdict: str
    score: float
    types: Mapping[str, int]
    familiar: bool
    model: Model


@dataclass(frozen=True)
class Outcome:
    """One photograph's end.

    Attributes:
        found: None if there is no answer; `error` then says why.
        sent: whether it was sent in this run, and answered or refused.
    """

    photograph: Photograph
    status: Status
    row: Mapping[str, Any]
    found: Found | None = None
    error: str = ""
    sent: bool = False


def answered(photograph: Photograph, analysis: Analysis, *, mask: str, overlay: str, sent: bool) -> Outcome:
    """Describe a photograph that was answered; mask and overlay are paths below the run's folder."""
    model = analysis.model
    row = {
        **_names(photograph),
        "status": "answered",
        "verdict": analysis.verdict,
        "defective": written(analysis.defective),
        "type": analysis.type,
        "score": analysis.score,
        "alarm_score": analysis.alarm_score,
        "threshold": analysis.threshold,
        "defect_pixels": analysis.defect_pixels,
        "defects": len(analysis.defects),
        "width": analysis.width,
        "height": analysis.height,
        "novelty": analysis.novelty,
        "familiar": written(analysis.familiar),
        "warnings": " ".join(each.code for each in analysis.warnings),
        "model": f"{model.name}/{model.version}",
        "model_sha256": model.sha256,
        "model_commit": model.commit,
        "model_dirty": written(model.dirty),
        "mask": mask,
        "overlay": overlay,
    }
    found = Found(analysis.verdict, analysis.score, analysis.types, analysis.familiar, model)
    return Outcome(photograph, "answered", row, found, sent=sent)


def unanswered(photograph: Photograph, error: str, *, status: Status = "failed", sent: bool = False) -> Outcome:
    """Describe a photograph that has no answer."""
    row = {**_names(photograph), "status": status, "error": error}
    return Outcome(photograph, status, row, error=error, sent=sent)


def written(value: object) -> str:
    """Return a value as the tables and the pictures have it: true and false in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _names(photograph: Photograph) -> dict[str, str | None]:
    return {"file": photograph.name, "part": photograph.part, "tile": photograph.tile}
