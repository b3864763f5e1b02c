"""What the served model must be for this proxy to ask it, read from Triton's description of the model.

Source: the KServe v2 protocol (`/v2/models/<m>`) and Triton's model-configuration extension of it
(`/v2/models/<m>/config`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.errors import ContractError
from tiles.operating_point import OperatingPoint

DIMS = [1, -1, -1]  # one channel of any height and width; Triton leaves the batch out
INPUT = "image"
OUTPUTS = ("probability", "type")
LEVELS = range(1, 256)  # a threshold of 0 would call every pixel defective


@dataclass(frozen=True)
class ModelContract:
    """A model that keeps the contract, and what of it the proxy uses.

    Attributes:
        name: the model's name at Triton.
        version: the version that Triton serves.
        commit: the commit that trained it, where the model says so.
        max_batch_size: tiles that one batch may hold, 1 or more.
        instances: batches that Triton runs at the same time, 1 or more.
        operating_point: when a tile is defective, and where.
        types: names of the defect types; `type` tensor value k means types[k - 1].
    """

    name: str
    version: str
    commit: str | None
    max_batch_size: int
    instances: int
    operating_point: OperatingPoint
    types: tuple[str, ...]


def check_contract(metadata: Mapping[str, Any], config: Mapping[str, Any]) -> ModelContract:
    """Read Triton's two documents on a model.

    Raises: ContractError naming the first thing that is not as it must be.
    """
    _require_tensors("input", config.get("input", ()), {INPUT})
    _require_tensors("output", config.get("output", ()), set(OUTPUTS))
    max_batch_size = config.get("max_batch_size", 0)
    if max_batch_size < 1:
        raise ContractError(f"max_batch_size is {max_batch_size}: 1 or more is needed")
    parameters = {key: value.get("string_value", "") for key, value in config.get("parameters", {}).items()}
    return ModelContract(
        name=config["name"],
        version=str(max(metadata.get("versions") or ["0"], key=int)),
        commit=parameters.get("model.commit") or None,
        max_batch_size=max_batch_size,
        instances=max(1, sum(_instances(group) for group in config.get("instance_group", ()))),
        operating_point=OperatingPoint(
            _threshold(parameters.get("model.threshold", "")), _alarm_score(parameters.get("model.alarm_score", ""))
        ),
        types=_types(parameters.get("model.types", "")),
    )


def _require_tensors(kind: str, tensors: Iterable[Mapping[str, Any]], names: set[str]) -> None:
    found = {tensor["name"]: (tensor["data_type"], tensor["dims"]) for tensor in tensors}
    wanted = dict.fromkeys(names, ("TYPE_UINT8", DIMS))
    if found != wanted:
        raise ContractError(f"the model's {kind} is {found}: {wanted} is needed")


def _instances(group: Mapping[str, Any]) -> int:
    """A group's count stands for each of its GPUs."""
    return int(group.get("count", 1)) * max(1, len(group.get("gpus") or ()))


def _threshold(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,3}", text) and int(text) in LEVELS:
        return int(text)
    raise ContractError(f"the parameter model.threshold is {text!r}: a whole number from 1 to 255 is needed")


def _alarm_score(text: str) -> float:
    if re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", text):
        return float(text)
    raise ContractError(f"the parameter model.alarm_score is {text!r}: a number from 0 to 1 is needed")


def _types(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if len(set(names)) == len(names) and all(re.fullmatch(r"[A-Za-z][A-Za-z0-9 _-]*", name) for name in names):
        return names
    raise ContractError(f"the parameter model.types is {text!r}: names of the defect types with commas are needed")
