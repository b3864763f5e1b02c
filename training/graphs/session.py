"""ONNX Runtime on the CPU, as Triton runs it: predicts images with an exported graph of any precision."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

os.environ.setdefault(
    "ORT_DISABLE_TELEMETRY", "1"
)  # before the import: otherwise ONNX Runtime sends usage data to Microsoft
import onnxruntime

from tiles import crop, pad
from training.dataset.samples import Sample
from training.evaluation.predict import Prediction
from training.graphs.tensors import INPUT, NOVELTY, OUTPUTS


def open_session(graph: Path, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """Load a graph. threads: 0 uses all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segment one image.

    Shapes: image (H, W) uint8 → probability and defect type, both (1, H32, W32) uint8.
    """
    probability, defect_type = session.run(list(OUTPUTS), {INPUT: pad(image)[np.newaxis]})  # each (1, 1, H32, W32)
    return probability[0], defect_type[0]


def run_with_novelty(session: onnxruntime.InferenceSession, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Segment one image, and return its novelty as well."""
    probability, defect_type, novelty = session.run([*OUTPUTS, NOVELTY], {INPUT: pad(image)[np.newaxis]})
    return probability[0], defect_type[0], float(novelty[0, 0])


def predict_onnx(
    session: onnxruntime.InferenceSession, samples: Sequence[Sample], *, description: str
) -> list[Prediction]:
    """Predict each sample, one padded image at a time."""
    return [_predict(session, sample) for sample in tqdm(samples, desc=description, unit="image", leave=False)]


def _predict(session: onnxruntime.InferenceSession, sample: Sample) -> Prediction:
    *outputs, novelty = run_with_novelty(session, sample.image)
    probability, defect_type = (crop(output, *sample.image.shape) for output in outputs)
    return Prediction(sample, probability, defect_type, novelty)
