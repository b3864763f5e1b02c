"""The answers to a tile's images → one verdict. A function of the single answers, whatever their order."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from proxy.analysis import majority
from proxy.answers import Representation
from proxy.errors import ModelChangedError, NoImageAnsweredError, ProxyError
from proxy.mask_formats import MASKS
from proxy.problems import document_of
from proxy.report import Report, describe_model, figures
from proxy.served_model import ServedModel
from tiles.operating_point import tile_score, verdict_of


class ImageFacts(NamedTuple):
    """What of one image counts for its tile; it keeps no pixels."""

    score: float
    type_pixels: Mapping[str, int]
    familiar: bool
    model: ServedModel
    sha256: str | None


class ImageAnswer(NamedTuple):
    """One image's part of a tile's answer as JSON, and what counts of it: nothing if it has a problem."""

    body: bytes
    facts: ImageFacts | None


class TileVerdict(NamedTuple):
    """What is said of a tile."""

    verdict: str
    score: float
    alarm_score: float
    type: str | None
    familiar: bool


def of_report(file: str | None, report: Report, mask: str) -> ImageAnswer:
    """Return an answered image's part."""
    analysis = report.analysis
    document = {"file": file, **figures(report), **MASKS[mask](analysis)}
    facts = ImageFacts(analysis.score, analysis.type_pixels, analysis.familiar, analysis.model, report.sha256)
    return ImageAnswer(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), facts)


def of_problem(file: str | None, error: ProxyError) -> ImageAnswer:
    """Return a refused image's part."""
    return ImageAnswer(orjson.dumps({"file": file, "problem": document_of(error)}), None)


def judge(images: Sequence[ImageFacts], model: ServedModel, tile_alarm_score: float | None) -> TileVerdict:
    """Judge a tile by the mean score of its images. tile_alarm_score: instead of the model's."""
    alarm_score = model.tile_alarm_score if tile_alarm_score is None else tile_alarm_score
    score = tile_score(each.score for each in images)
    pixels = {name: sum(each.type_pixels[name] for each in images) for name in model.defect_types}
    return TileVerdict(
        verdict=verdict_of(score, alarm_score, model.tile_review_score),
        score=score,
        alarm_score=alarm_score,
        type=majority(pixels),
        familiar=all(each.familiar for each in images),
    )


def represent_tile(
    answers: Sequence[ImageAnswer], part: str | None, tile_alarm_score: float | None
) -> tuple[Representation, TileVerdict]:
    """Return the tile's answer: the verdict, and each image's part in the order in which they came.

    Raises: NoImageAnsweredError, ModelChangedError.
    """
    images = [each.facts for each in answers if each.facts is not None]
    if not images:
        raise NoImageAnsweredError(
            "each image of the tile has a problem of its own, see `images`: correct them, and send the tile again",
            [orjson.loads(each.body) for each in answers],
        )
    model, sha256 = images[0].model, images[0].sha256
    if any(each.model != model for each in images):
        raise ModelChangedError("a new model came while the tile was judged: send the tile again")
    tile = judge(images, model, tile_alarm_score)
    document: dict[str, Any] = {
        "part": part,
        "verdict": tile.verdict,
        "defective": tile.verdict == "defect",
        "score": tile.score,
        "alarm_score": tile.alarm_score,
        "type": tile.type,
        "images": [orjson.Fragment(each.body) for each in answers],
        "failed": len(answers) - len(images),
        "familiar": tile.familiar,
        "model": describe_model(model, sha256),
    }
    return Representation(orjson.dumps(document), {}), tile
