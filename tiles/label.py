"""A model's label: what it is and how its probabilities are judged, as bytes that travel with each of its answers.

A graph returns its label as the constant tensor `model`. So an answer is judged by the operating point of the model
that made it, whichever models are served at one address.
"""

import json
from collections.abc import Mapping

import numpy as np

LABEL_BYTES = 1024  # of the tensor: some 500 are left for the types and the title
LABELLED = (
    "model.threshold", "model.alarm_score", "model.review_score", "model.tile_alarm_score", "model.tile_review_score",
    "model.novelty_limit", "model.types", "model.title", "model.commit", "model.commit_dirty", "model.data_digest",
    "model.digest",
)  # fmt: skip


def encode_label(parameters: Mapping[str, str]) -> np.ndarray:
    """Write the labelled ones of a model's parameters as JSON, filled up with blanks.

    Shapes: (LABEL_BYTES,) uint8.
    Raises: ValueError, when they are too long.
    """
    text = json.dumps({name: parameters[name] for name in LABELLED if name in parameters}, ensure_ascii=False).encode()
    if len(text) > LABEL_BYTES:
        raise ValueError(
            f"a model's label has at most {LABEL_BYTES} bytes, not {len(text)}: shorten the types' names or the title"
        )
    return np.frombuffer(text.ljust(LABEL_BYTES), np.uint8)


def decode_label(label: bytes) -> dict[str, str]:
    """Read a label back.

    Raises: ValueError, when these bytes are none.
    """
    parameters = json.loads(label)
    if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
        raise ValueError(f"a label is a JSON object of texts, not {parameters!r:.80}")
    return parameters
