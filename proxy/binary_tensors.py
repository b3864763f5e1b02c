"""Canvases → the body of an inference request, and an answer's body → tensors.

tritonclient's own way copies each tensor twice and defines three classes for every answer.

Source: the KServe v2 protocol with Triton's extension for binary tensor data.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import orjson

from proxy.contract import INPUT, OUTPUTS

HEADER_LENGTH = "Inference-Header-Content-Length"  # the JSON's bytes; the tensors follow it
DATATYPES = {"UINT8": np.uint8, "INT32": np.int32, "FP32": np.float32}  # of the contract's tensors
REQUESTED = [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS]


def request_header(canvases: np.ndarray, parameters: Mapping[str, str] | None = None) -> bytes:
    """Return the JSON before the canvases. Shapes: (N, 1, H, W) uint8. parameters: of the request."""
    size = {"binary_data_size": canvases.nbytes}
    tensor = {"name": INPUT, "datatype": "UINT8", "shape": canvases.shape, "parameters": size}
    return orjson.dumps({"inputs": [tensor], "outputs": REQUESTED, "parameters": parameters or {}})


class Tensors(NamedTuple):
    """What an answer holds: tensors by their names, which share its memory, and the version of the model."""

    by_name: dict[str, np.ndarray]
    version: str

    @classmethod
    def read(cls, body: bytes, header_length: str) -> Self:
        """Read an answer's body.

        Raises: ValueError, when it is none.
        """
        at = int(header_length)
        outputs, version = _described(body[:at])
        memory, by_name = memoryview(body), {}
        for output in outputs:
            if output.datatype not in DATATYPES:
                raise ValueError(f"{output.name} is {output.datatype}, which none of the contract's tensors is")
            end = at + output.size
            tensor = np.frombuffer(memory[at:end], DATATYPES[output.datatype])
            by_name[output.name] = tensor.reshape(output.shape)
            at = end
        return cls(by_name, version)


class _Output(NamedTuple):
    name: str
    datatype: str
    shape: tuple[int, ...]
    size: int  # bytes


def _described(header: bytes) -> tuple[list[_Output], str]:
    """Return what an answer's JSON says of its tensors, and the model's version.

    Raises: ValueError, when it is not the protocol's.
    """
    answer = orjson.loads(header)
    try:
        outputs = [
            _Output(
                str(output["name"]),
                str(output["datatype"]),
                tuple(map(int, output["shape"])),
                int(output["parameters"]["binary_data_size"]),
            )
            for output in answer["outputs"]
        ]
        return outputs, str(answer.get("model_version", ""))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"its header is not the protocol's: {error!r}") from None
