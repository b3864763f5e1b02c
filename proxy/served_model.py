"""The model that Triton serves: what the proxy requires of it, and what it reads from Triton's description.

Source: the KServe v2 protocol (`/v2/models/<m>`) and Triton's model-configuration extension of it
(`/v2/models/<m>/config`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from proxy.errors import WrongModelError
from tiles.fingerprint import SUMS
from tiles.golden import BLOCK, SIDE
from tiles.label import LABEL_BYTES, decode_label
from tiles.operating_point import OperatingPoint

INPUT = "image"
DIMS = [1, -1, -1]  # one channel of any height and width; Triton leaves out the batch axis
TENSORS = {  # what Triton must say of each
    "input": {INPUT: ("TYPE_UINT8", DIMS)},
    "output": {
        "probability": ("TYPE_UINT8", DIMS),
        "type": ("TYPE_UINT8", DIMS),
        "fingerprint": ("TYPE_INT32", [-1, SUMS]),
        "model": ("TYPE_UINT8", [LABEL_BYTES]),
    },
}
OUTPUTS = tuple(TENSORS["output"])
LEVELS = range(1, 256)  # a threshold of 0 would call every pixel defective
GOLDEN_DIGITS = 2 * (SIDE // BLOCK) ** 2

T = TypeVar("T")


@dataclass(frozen=True)
class ServedModel:
    """A model, as the label of its answers describes it.

    Attributes:
        name: the model's name at Triton.
        version: the version that Triton serves.
        commit: the commit that trained it, where the model says so.
        digest: 64 hexadecimal digits that no other model has.
        operating_point: when an image is defective, and where.
        defect_types: names of the defect types; value k of the tensor `type` means defect_types[k - 1].
        dirty: whether it was trained with changes that the commit does not hold.
    """

    name: str
    version: str
    commit: str | None
    digest: str
    operating_point: OperatingPoint
    defect_types: tuple[str, ...]
    dirty: bool = False


@dataclass(frozen=True)
class Contract:
    """What Triton says of the model that it serves now.

    Attributes:
        model: the model.
        max_batch_size: images that one batch may hold, 1 or more.
        instances: batches that Triton runs at the same time, 1 or more.
        golden: what the model answers to the golden image, as `tiles.golden` writes it.
    """

    model: ServedModel
    max_batch_size: int
    instances: int
    golden: str


def read_contract(metadata: object, config: object) -> Contract:
    """Read Triton's two JSON documents about a model.

    Raises: WrongModelError, which names the first thing that is wrong.
    """
    for role, tensors in TENSORS.items():
        _require_tensors(role, config, tensors)
    max_batch_size = _field(config, "max_batch_size", 0)
    if max_batch_size < 1:
        raise WrongModelError(f"max_batch_size is {max_batch_size}, but must be at least 1")
    described: dict[str, Any] = _field(config, "parameters", {})
    parameters = {name: _field(value, "string_value", "") for name, value in described.items()}
    groups: list[Any] = _field(config, "instance_group", [])
    return Contract(
        model=_model(_field(config, "name", ""), _newest(_field(metadata, "versions", [])), parameters),
        max_batch_size=max_batch_size,
        instances=max(1, sum(map(_instances, groups))),
        golden=_digits("model.golden", GOLDEN_DIGITS, parameters),
    )


@lru_cache(maxsize=16)  # every answer brings one, nearly always the same
def read_label(name: str, version: str, label: bytes) -> ServedModel:
    """Read the label that an answer brings.

    Raises: ValueError, when these bytes are no label; WrongModelError, when it lacks what the proxy needs.
    """
    return _model(name, version, decode_label(label))


def _model(name: str, version: str, parameters: Mapping[str, str]) -> ServedModel:
    return ServedModel(
        name=name,
        version=version,
        commit=parameters.get("model.commit") or None,
        dirty=parameters.get("model.commit_dirty") == "true",
        operating_point=OperatingPoint(
            _threshold(parameters.get("model.threshold", "")), _alarm_score(parameters.get("model.alarm_score", ""))
        ),
        defect_types=_defect_types(parameters.get("model.types", "")),
        digest=_digits("model.digest", 64, parameters),
    )


def _field(document: object, name: str, default: T) -> T:
    """Return a field of a JSON object; the default, also where the field is null, says which type it must have.

    Raises: WrongModelError.
    """
    if not isinstance(document, Mapping):
        raise WrongModelError(f"Triton describes it by {document!r:.80}, but a JSON object with {name!r} is needed")
    found = document.get(name)
    if found is None:
        return default
    if not isinstance(found, type(default)):
        raise WrongModelError(f"Triton describes {name!r} by {found!r:.80}, but {type(default).__name__} is needed")
    return found


def _require_tensors(role: str, config: object, wanted: Mapping[str, tuple[str, list[int]]]) -> None:
    tensors: list[Any] = _field(config, role, [])
    found = {}
    for tensor in tensors:
        dims: list[Any] = _field(tensor, "dims", [])
        found[_field(tensor, "name", "")] = (_field(tensor, "data_type", ""), dims)
    if found != wanted:
        raise WrongModelError(f"its {role} is {found}, but must be {wanted}")


def _newest(versions: list[Any]) -> str:
    return str(max((int(version) for version in versions if re.fullmatch(r"[0-9]{1,18}", str(version))), default=0))


def _instances(group: object) -> int:
    """Return how many instances a group has: its count holds for each of its GPUs."""
    gpus: list[Any] = _field(group, "gpus", [])
    return _field(group, "count", 1) * max(1, len(gpus))


def _digits(name: str, count: int, parameters: Mapping[str, str]) -> str:
    text = parameters.get(name, "")
    if re.fullmatch(f"[0-9a-f]{{{count}}}", text):
        return text
    raise WrongModelError(f"its parameter {name} is {text!r:.80}, but must be {count} hexadecimal digits")


def _threshold(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,3}", text) and int(text) in LEVELS:
        return int(text)
    raise WrongModelError(f"its parameter model.threshold is {text!r}, but must be a whole number from 1 to 255")


def _alarm_score(text: str) -> float:
    if re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", text):
        return float(text)
    raise WrongModelError(f"its parameter model.alarm_score is {text!r}, but must be a number from 0 to 1")


def _defect_types(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if len(set(names)) == len(names) and all(re.fullmatch(r"[A-Za-z][A-Za-z0-9 _-]*", name) for name in names):
        return names
    raise WrongModelError(f"its parameter model.types is {text!r}, but must name the defect types, with commas between")
