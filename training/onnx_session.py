"""ONNX Runtime on the CPU, as Triton runs it: an exported graph over tiles, in whatever precision it is."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: it reports to its makers unless told not to
import onnxruntime

from tiles import crop, pad
from training.dataset import Sample
from training.onnx_graph import INPUT, OUTPUTS
from training.predict import Prediction


def open_session(graph: Path, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """Load a graph. threads: 0 takes all cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segment one tile.

    Shapes: tile (H, W) uint8 → probability and type, both (1, H32, W32) uint8.
    """
    probability, defect_type = session.run(list(OUTPUTS), {INPUT: pad(tile)[np.newaxis]})
    return probability[0], defect_type[0]


def predict_onnx(
    session: onnxruntime.InferenceSession, samples: Sequence[Sample], *, description: str
) -> list[Prediction]:
    """Predict each sample, one padded tile at a time."""
    return [_predict(session, sample) for sample in tqdm(samples, desc=description, unit="tile", leave=False)]


def _predict(session: onnxruntime.InferenceSession, sample: Sample) -> Prediction:
    probability, defect_type = (crop(output, *sample.tile.shape) for output in run(session, sample.tile))
    return Prediction(sample, probability, defect_type)
