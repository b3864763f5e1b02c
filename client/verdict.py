"""Several photographs of one tile → one verdict, by the rule of POST /analyze/tile.

It is a pure function of the single answers, and their order does not matter. So a run over a folder needs no second
request, and one more photograph needs no other photograph again.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from client.analysis import Model, Verdict
from client.errors import WrongAnswerError

SCORE_DIGITS = 4


class Judged(Protocol):
    """What the rule reads of an `Analysis`."""

    @property
    def score(self) -> float:
        """Of the photograph, 0–1."""

    @property
    def types(self) -> Mapping[str, int]:
        """Number of defective pixels of each type."""

    @property
    def familiar(self) -> bool:
        """Whether it is like the training images."""

    @property
    def model(self) -> Model:
        """The model that answered."""


@dataclass(frozen=True)
class TileVerdict:
    """What the photographs of one tile say together.

    Attributes:
        score: the mean of the photographs' scores, 0–1.
        alarm_score: the lowest mean of a defective tile.
        type: the type that most defective pixels have, over all photographs; None without one.
        images: number of photographs.
        familiar: whether all are.
    """

    verdict: Verdict
    score: float
    alarm_score: float
    type: str | None
    images: int
    familiar: bool

    @property
    def defective(self) -> bool:
        """Whether the verdict is `defect`."""
        return self.verdict == "defect"


def judge_tile(analyses: Sequence[Judged], *, tile_alarm_score: float | None = None) -> TileVerdict:
    """Judge a tile by one answer or more; `tile_alarm_score` takes the place of the model's own.

    Raises: WrongAnswerError, if the answers are of different models; ValueError, if there is none.
    """
    models = {(each.model.name, each.model.version, each.model.sha256, each.model.commit) for each in analyses}
    if len(models) > 1:
        raise WrongAnswerError(f"the photographs were analysed by {len(models)} models: analyse them again by one")
    if not analyses:
        raise ValueError("a tile is judged by one answer or more")
    model = analyses[0].model
    score = round(math.fsum(each.score for each in analyses) / len(analyses), SCORE_DIGITS)
    alarm_score = model.tile_alarm_score if tile_alarm_score is None else tile_alarm_score
    return TileVerdict(
        verdict=_verdict(score, alarm_score, model.tile_review_score),
        score=score,
        alarm_score=alarm_score,
        type=_most_frequent(analyses),
        images=len(analyses),
        familiar=all(each.familiar for each in analyses),
    )


def _verdict(score: float, alarm_score: float, review_score: float | None) -> Verdict:
    if score >= alarm_score:
        return "defect"
    return "review" if review_score is not None and score >= review_score else "ok"


def _most_frequent(analyses: Sequence[Judged]) -> str | None:
    """Return the type with the most pixels; among equals the first in the model's order."""
    pixels = Counter[str]()
    for each in analyses:
        pixels.update(each.types)
    found = {name: pixels[name] for name in analyses[0].model.types if pixels[name]}
    return max(found, key=found.__getitem__, default=None)
