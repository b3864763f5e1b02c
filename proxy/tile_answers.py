"""The answers to a tile's images → one verdict. A function of the single answers, whatever their order."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from proxy.analysis import majority, verdict_of
from proxy.answers import Representation
from proxy.errors import ModelChangedError, NoImageAnsweredError, ProxyError
from proxy.mask_formats import MASKS
from proxy.problems import document_of
from proxy.report import Report, describe_tile_model, figures
from proxy.served_model import ServedModel


class ImageAnswer(NamedTuple):
    """One image's part of a tile's answer: its report and that as JSON, or what is wrong with it."""

    file: str | None
    found: Report | ProxyError
    body: bytes


class TileVerdict(NamedTuple):
    """What is said of a tile."""

    verdict: str
    score: float
    alarm_score: float
    type: str | None
    familiar: bool


def of_report(file: str | None, report: Report, mask: str) -> ImageAnswer:
    """Return an answered image's part."""
    document = {"file": file, **figures(report), **MASKS[mask](report.analysis)}
    return ImageAnswer(file, report, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def of_problem(file: str | None, error: ProxyError) -> ImageAnswer:
    """Return a refused image's part."""
    return ImageAnswer(file, error, orjson.dumps({"file": file, "problem": document_of(error)}))


def judge(reports: Sequence[Report], model: ServedModel, tile_alarm_score: float | None) -> TileVerdict:
    """Judge a tile by the mean score of its images. tile_alarm_score: instead of the model's."""
    alarm_score = model.tile_alarm_score if tile_alarm_score is None else tile_alarm_score
    score = round(math.fsum(each.analysis.score for each in reports) / len(reports), 4)
    pixels: Counter[str] = Counter(dict.fromkeys(model.defect_types, 0))
    for each in reports:
        pixels.update(each.analysis.type_pixels)
    return TileVerdict(
        verdict=verdict_of(score, alarm_score, model.tile_review_score),
        score=score,
        alarm_score=alarm_score,
        type=majority(pixels),
        familiar=all(each.analysis.familiar for each in reports),
    )


def represent_tile(
    answers: Sequence[ImageAnswer], part: str | None, tile_alarm_score: float | None
) -> tuple[Representation, TileVerdict]:
    """Return the tile's answer: the verdict, and each image's part in the order in which they came.

    Raises: NoImageAnsweredError, ModelChangedError.
    """
    reports = [each.found for each in answers if isinstance(each.found, Report)]
    if not reports:
        raise NoImageAnsweredError(
            "each image of the tile has a problem of its own, see `images`: correct them, and send the tile again",
            [orjson.loads(each.body) for each in answers],
        )
    model, sha256 = reports[0].analysis.model, reports[0].sha256
    if any(each.analysis.model != model for each in reports):
        raise ModelChangedError("a new model came while the tile was judged: send the tile again")
    tile = judge(reports, model, tile_alarm_score)
    document: dict[str, Any] = {
        "part": part,
        "verdict": tile.verdict,
        "defective": tile.verdict == "defect",
        "score": tile.score,
        "alarm_score": tile.alarm_score,
        "type": tile.type,
        "familiar": tile.familiar,
        "failed": len(answers) - len(reports),
        "images": [orjson.Fragment(each.body) for each in answers],
        "model": describe_tile_model(model, sha256),
    }
    return Representation(orjson.dumps(document), {}), tile
