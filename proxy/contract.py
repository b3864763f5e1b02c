"""What Triton says of the model that it serves, and what the proxy requires of it.

Source: the KServe v2 protocol (`/v2/models/<m>`) and Triton's model-configuration extension of it
(`/v2/models/<m>/config`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from proxy.errors import WrongModelError
from proxy.served_model import ServedModel, digits, read_model
from tiles.fingerprint import SUMS
from tiles.golden import BLOCK, SIDE
from tiles.label import LABEL_BYTES

INPUT = "image"
DIMS = [1, -1, -1]  # one channel of any height and width; Triton leaves out the batch axis
TENSORS = {  # what Triton must say of each
    "input": {INPUT: ("TYPE_UINT8", DIMS)},
    "output": {
        "probability": ("TYPE_UINT8", DIMS),
        "type": ("TYPE_UINT8", DIMS),
        "novelty": ("TYPE_FP32", [1]),
        "fingerprint": ("TYPE_INT32", [-1, SUMS]),
        "model": ("TYPE_UINT8", [LABEL_BYTES]),
    },
}
OUTPUTS = tuple(TENSORS["output"])
GOLDEN_DIGITS = 2 * (SIDE // BLOCK) ** 2

T = TypeVar("T")


@dataclass(frozen=True)
class Contract:
    """What Triton says of the model that it serves now.

    Attributes:
        model: the model.
        sha256: of the graph's file, where Triton says so.
        max_batch_size: images that one batch may hold, 1 or more.
        instances: batches that Triton runs at the same time, 1 or more.
        on_cpus: whether all of them run on CPUs.
        golden: what the model answers to the golden image, as `tiles.golden` writes it.
    """

    model: ServedModel
    sha256: str | None
    max_batch_size: int
    instances: int
    on_cpus: bool
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
        model=read_model(_field(config, "name", ""), _newest(_field(metadata, "versions", [])), parameters),
        sha256=digits("model.sha256", 64, parameters) if parameters.get("model.sha256") else None,
        max_batch_size=max_batch_size,
        instances=max(1, sum(map(_instances, groups))),
        on_cpus=all(_field(group, "kind", "") == "KIND_CPU" for group in groups),
        golden=digits("model.golden", GOLDEN_DIGITS, parameters),
    )


def _field(document: object, name: str, default: T) -> T:
    """Return a field of a JSON object; the default, also where the field is null, says which type it must have.

    Raises: WrongModelError.
    """
    if not isinstance(document, Mapping):
        raise WrongModelError(
            f"Triton describes the model by {document!r:.80}, but must give a JSON object with {name!r}"
        )
    found = document.get(name)
    if found is None:
        return default
    if not isinstance(found, type(default)):
        raise WrongModelError(f"Triton describes {name!r} by {found!r:.80}, but must give {type(default).__name__}")
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
