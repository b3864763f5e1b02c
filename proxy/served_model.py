"""A served model as its label describes it: what it is, and how its outputs are judged."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from proxy.errors import WrongModelError
from tiles.label import decode_label
from tiles.operating_point import OperatingPoint

LEVELS = range(1, 256)  # a threshold of 0 would call every pixel defective
TITLE = re.compile(r"[^\x00-\x1f\x7f]{1,80}")


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model, as the label of its answers describes it.

    Attributes:
        name: the model's name at Triton.
        version: the version that Triton serves.
        digest: 64 hexadecimal digits that no other model has.
        operating_point: when an image is defective, and where.
        review_score: 0–1; the lowest score with the verdict `review`; None: the model has no such verdict.
        tile_alarm_score: 0–1; a tile is defective if the mean score of its images is at least this.
        tile_review_score: as `review_score`, for a tile.
        novelty_limit: an image is like the training tiles if its novelty is at most this.
        defect_types: names of the defect types; value k of the tensor `type` means defect_types[k - 1].
        commit: the commit that trained it, where the model says so.
        dirty: whether it was trained with changes that the commit does not hold.
        data: the digest of the images that trained it, where the model says so.
        title: what the page is called, where the model says so.
    """

    name: str
    version: str
    digest: str
    operating_point: OperatingPoint
    review_score: float | None = None
    tile_alarm_score: float
    tile_review_score: float | None = None
    novelty_limit: float
    defect_types: tuple[str, ...]
    commit: str | None = None
    dirty: bool = False
    data: str | None = None
    title: str | None = None


@lru_cache(maxsize=16)  # every answer brings one, nearly always the same
def read_label(name: str, version: str, label: bytes) -> ServedModel:
    """Read the label that an answer brings.

    Raises: ValueError, when these bytes are no label; WrongModelError, when it lacks what the proxy needs.
    """
    return read_model(name, version, decode_label(label))


def read_model(name: str, version: str, parameters: Mapping[str, str]) -> ServedModel:
    """Read a model's parameters.

    Raises: WrongModelError, which names the first that is wrong.
    """
    threshold = _threshold(parameters.get("model.threshold", ""))
    alarm_score = _score("model.alarm_score", parameters)
    tile_alarm_score = _score("model.tile_alarm_score", parameters)
    return ServedModel(
        name=name,
        version=version,
        digest=digits("model.digest", 64, parameters),
        operating_point=OperatingPoint(threshold, alarm_score),
        review_score=_below("model.review_score", alarm_score, parameters),
        tile_alarm_score=tile_alarm_score,
        tile_review_score=_below("model.tile_review_score", tile_alarm_score, parameters),
        novelty_limit=_positive("model.novelty_limit", parameters),
        defect_types=_defect_types(parameters.get("model.types", "")),
        commit=parameters.get("model.commit") or None,
        dirty=parameters.get("model.commit_dirty") == "true",
        data=parameters.get("model.data_digest") or None,
        title=_title(parameters.get("model.title", "")),
    )


def digits(name: str, count: int, parameters: Mapping[str, str]) -> str:
    """Return a parameter of so many hexadecimal digits.

    Raises: WrongModelError.
    """
    text = parameters.get(name, "")
    if re.fullmatch(f"[0-9a-f]{{{count}}}", text):
        return text
    raise WrongModelError(f"its parameter {name} is {text!r:.80}, but must be {count} hexadecimal digits")


def _threshold(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,3}", text) and int(text) in LEVELS:
        return int(text)
    raise WrongModelError(f"its parameter model.threshold is {text!r}, but must be a whole number from 1 to 255")


def _score(name: str, parameters: Mapping[str, str]) -> float:
    text = parameters.get(name, "")
    if re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", text):
        return float(text)
    raise WrongModelError(f"its parameter {name} is {text!r}, but must be a number from 0 to 1")


def _below(name: str, alarm_score: float, parameters: Mapping[str, str]) -> float | None:
    """Return the lower of two limits; None where the model has one alone."""
    if not parameters.get(name):
        return None
    review_score = _score(name, parameters)
    if review_score < alarm_score:
        return review_score
    raise WrongModelError(
        f"its parameter {name} is {review_score}, but must be less than the alarm score {alarm_score}"
    )


def _positive(name: str, parameters: Mapping[str, str]) -> float:
    text = parameters.get(name, "")
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", text) and float(text) > 0:
        return float(text)
    raise WrongModelError(f"its parameter {name} is {text!r}, but must be a number greater than 0")


def _defect_types(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if len(set(names)) == len(names) and all(re.fullmatch(r"[A-Za-z][A-Za-z0-9 _-]*", name) for name in names):
        return names
    raise WrongModelError(f"its parameter model.types is {text!r}, but must name the defect types, with commas between")


def _title(text: str) -> str | None:
    if not text or TITLE.fullmatch(text):
        return text or None
    raise WrongModelError(f"its parameter model.title is {text!r:.80}, but must be a line of at most 80 characters")
