"""Whether the graph's file and its parameters are those that config.pbtxt was written for.

A damaged file often still loads, and then gives other answers. Knows ONNX Runtime's session, not Triton.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import signature  # type: ignore[import-not-found]  # beside this file, in a folder that Triton puts on the path

SHA256 = "model.sha256"
OF_THE_FILE = (SHA256, "model.golden")  # what a graph cannot say of itself
REMEDY = "publish the model again, together with its config.pbtxt"


def read_graph(path: Path, config: Mapping[str, Any]) -> bytes | Path:
    """Return the graph's bytes when config.pbtxt says which they must be, otherwise the path as it is.

    The bytes that were compared are those that are loaded, whatever happens to the file meanwhile.

    Raises: SignatureError, when they are others.
    """
    stated = _stated(config).get(SHA256)
    if stated is None:
        return path
    graph = path.read_bytes()
    found = hashlib.sha256(graph).hexdigest()
    if found != stated:
        raise signature.SignatureError(
            f"{path.name} is damaged or another model's: its sha256 is {found}, config.pbtxt has {stated}; {REMEDY}"
        )
    return graph


def compare_parameters(config: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Compare the parameters `model.…` with those that the graph itself says, where it says any.

    Raises: SignatureError, which names the first difference.
    """
    in_graph = {name: value for name, value in metadata.items() if name.startswith(signature.METADATA_PREFIX)}
    if not in_graph:
        return
    stated = _stated(config)
    if SHA256 not in stated:
        raise signature.SignatureError(f"config.pbtxt has no parameter {SHA256}: {REMEDY}")
    for name in sorted((in_graph.keys() | stated.keys()) - set(OF_THE_FILE)):
        if in_graph.get(name) != stated.get(name):
            raise signature.SignatureError(
                f"parameter {name} is {_shown(stated.get(name))} in config.pbtxt, but {_shown(in_graph.get(name))} in "
                f"the graph: {REMEDY}"
            )


def _stated(config: Mapping[str, Any]) -> dict[str, str]:
    parameters = config.get("parameters", {})
    return {
        name: value["string_value"] for name, value in parameters.items() if name.startswith(signature.METADATA_PREFIX)
    }


def _shown(value: str | None) -> str:
    return "missing" if value is None else repr(value)
