"""ONNX Runtime on the CPU, as Triton runs it: predicts images with an exported graph of any precision."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

os.environ.setdefault(
    "ORT_DISABLE_TELEMETRY", "1"
)  # before the import: otherwise ONNX Runtime sends usage data to Microsoft
import onnxruntime

from inference_server.backends.onnxruntime.exact_sums import sum_exactly
from tiles import crop, pad
from training.dataset.samples import Sample
from training.evaluation.predict import Prediction
from training.graphs.tensors import INPUT, NOVELTY, OUTPUTS
from training.progress import counted


def open_session(graph: Path, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """Load a graph. threads: 0 uses all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sum_exactly(options)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segment one image.

    Shapes: image (H, W) uint8 → probability and defect type, both (1, H32, W32) uint8.
    """
    probability, defect_type = session.run(list(OUTPUTS), {INPUT: pad(image)[np.newaxis]})  # each (1, 1, H32, W32)
    return probability[0], defect_type[0]


def predict_onnx(
    session: onnxruntime.InferenceSession, samples: Sequence[Sample], *, description: str
) -> list[Prediction]:
    """Predict each sample, one padded image at a time."""
    return [_predict(session, sample) for sample in counted(samples, description)]


def _predict(session: onnxruntime.InferenceSession, sample: Sample) -> Prediction:
    names = [output.name for output in session.get_outputs() if output.name in (*OUTPUTS, NOVELTY)]
    found = dict(zip(names, session.run(names, {INPUT: pad(sample.image)[np.newaxis]}), strict=True))
    probability, defect_type = (crop(found[name][0], *sample.image.shape) for name in OUTPUTS)
    novelty = float(found[NOVELTY][0, 0]) if NOVELTY in found else math.nan  # graphs of older versions have none
    return Prediction(sample, probability, defect_type, novelty)
