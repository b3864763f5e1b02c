"""Whether an answer of Triton is the one to the images that were sent, and which model made it.

Triton 24.10 mixes answers up after a stub was late, and a reused buffer would give one image's mask to another. So the
graph itself says what it saw and what it answered, and the proxy computes the same from what it sent and what came.
"""

from collections.abc import Mapping

import numpy as np

from proxy.served_model import ServedModel, read_label
from tiles.fingerprint import RUN, SUMS, fingerprint
from tiles.label import LABEL_BYTES


class Mismatch(Exception):  # noqa: N818  the segmenter translates it, after it has ended that Triton
    """An answer is not the one to this request; the text says what shows it."""


def prove(canvases: np.ndarray, tensors: Mapping[str, np.ndarray], name: str, version: str) -> ServedModel:
    """Return the model that gave this answer.

    Shapes: canvases (N, 1, H, W) uint8. tensors: the outputs by their names, as they came.
    Raises: Mismatch; WrongModelError, when the model's label lacks what the proxy needs.
    """
    probability, defect_type, _, sums, labels = _require_shapes(canvases, tensors)
    if (sums != fingerprint(canvases, probability, defect_type)).any():
        raise Mismatch("its fingerprint is not the one of this image and these outputs")
    if (labels != labels[0]).any():
        raise Mismatch("its images have labels of several models")
    try:
        return read_label(name, version, labels[0].tobytes())
    except ValueError as error:
        raise Mismatch(f"its label cannot be read ({error})") from None


def _require_shapes(canvases: np.ndarray, tensors: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the outputs in their order. The model's signature was checked, so another shape is another request's."""
    count = len(canvases)
    expected = {
        "probability": (np.uint8, canvases.shape),
        "type": (np.uint8, canvases.shape),
        "novelty": (np.float32, (count, 1)),
        "fingerprint": (np.int32, (count, 3 * canvases[0].size // RUN, SUMS)),
        "model": (np.uint8, (count, LABEL_BYTES)),
    }
    found = []
    for name, (dtype, shape) in expected.items():
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype != dtype or tensor.shape != shape:
            said = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise Mismatch(f"its output {name!r} is {said}, but must be {np.dtype(dtype)} {list(shape)}")
        found.append(tensor)
    return found
