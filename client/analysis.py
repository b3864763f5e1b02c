"""JSON answer → `Analysis`."""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

from client.errors import WrongAnswerError
from client.mask import Mask

Verdict = Literal["ok", "review", "defect"]


@dataclass(frozen=True)
class Point:
    """A place in an image, in pixels from the left and from the top."""

    x: float
    y: float


@dataclass(frozen=True)
class Box:
    """The pixels from (x, y) on, `width` to the right and `height` down."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Defect:
    """One connected region of the mask.

    Attributes:
        score: how sure the model is of this defect, 0–1.
        area: in pixels.
    """

    type: str
    score: float
    area: int
    box: Box
    centroid: Point


@dataclass(frozen=True)
class ImageWarning:
    """Something about the image that makes its answer doubtful; `code` is for programs, `detail` for people."""

    code: str
    detail: str


@dataclass(frozen=True)
class Model:
    """The model that answered.

    Attributes:
        sha256: of the graph's file.
        commit, dirty: of the training's code, and whether it had changes that this commit lacks.
        data: digest of the training data.
        threshold, alarm_score: the model's own.
        tile_alarm_score: of a tile's mean score.
        review_score, tile_review_score: the lowest that a person should look at; None if the model knows only ok and
            defect.
        novelty_limit: the highest novelty of an image that is familiar.
    """

    name: str
    version: str
    sha256: str | None
    commit: str | None
    dirty: bool
    data: str | None
    threshold: float
    alarm_score: float
    types: tuple[str, ...]
    tile_alarm_score: float
    novelty_limit: float
    review_score: float | None = None
    tile_review_score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What the service found on one image.

    Attributes:
        part: the name that was sent with the image.
        defect_pixels: number of defective pixels.
        score: how sure the model is that the image shows a defect, 0–1.
        alarm_score, threshold: the lowest score of a defective image and the lowest probability of a defective pixel,
            as used.
        type: the type that most defective pixels have; None without a defect.
        types: number of defective pixels of each type.
        defects: the connected regions, the surest first.
        novelty, familiar: how far the image is from the training images, None if that is not a finite number; and
            whether it is near enough.
    """

    part: str | None
    width: int
    height: int
    verdict: Verdict
    defective: bool
    defect_pixels: int
    score: float
    alarm_score: float
    threshold: float
    type: str | None
    types: Mapping[str, int]
    defects: tuple[Defect, ...]
    novelty: float | None
    familiar: bool
    warnings: tuple[ImageWarning, ...]
    model: Model
    mask: Mask


def read_analysis(document: Any) -> Analysis:
    """Read an answer of POST /analyze?mask=rle; keys that this client does not know are left out.

    Raises: WrongAnswerError.
    """
    with _answer_of_the_service():
        composed: dict[str, Any] = {
            "defects": tuple(_defect(each) for each in document["defects"]),
            "warnings": tuple(ImageWarning(each["code"], each["detail"]) for each in document["warnings"]),
            "model": read_model(document["model"]),
            "mask": Mask(document["width"], document["height"], tuple(document["rle"]["counts"])),
        }
        plain = {name: document[name] for name in _names(Analysis) if name not in composed}
        return Analysis(**plain, **composed)


def read_model(document: Mapping[str, Any]) -> Model:
    """Read the description of a model.

    Raises: WrongAnswerError.
    """
    with _answer_of_the_service():
        known = {name: document[name] for name in _names(Model) if name in document}
        return Model(**known | {"types": tuple(document["types"])})


def _defect(document: Mapping[str, Any]) -> Defect:
    box, centroid = document["box"], document["centroid"]
    return Defect(
        document["type"],
        document["score"],
        document["area"],
        Box(box["x"], box["y"], box["width"], box["height"]),
        Point(centroid["x"], centroid["y"]),
    )


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@contextmanager
def _answer_of_the_service() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise WrongAnswerError(
            f"the answer is not one of this service ({what}): check the URL, and that client and service are of the "
            "same version"
        ) from None
