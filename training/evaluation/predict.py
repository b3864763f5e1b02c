"""Predict whole images with the served function, in torch and float32: evaluation measures these predictions."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tiles import crop, pad
from training.dataset.samples import Sample
from training.network.served import ServedSegmenter
from training.progress import counted


@dataclass(frozen=True)
class Prediction:
    """The served function's output for one sample.

    Attributes:
        sample: what was predicted.
        probability, defect_type: (H, W) uint8, as the served tensors.
        novelty: as the served tensor; not a number where the function has none.
    """

    sample: Sample
    probability: np.ndarray
    defect_type: np.ndarray
    novelty: float = math.nan


@torch.inference_mode()
def predict(segmenter: ServedSegmenter, samples: list[Sample], *, description: str) -> Iterator[Prediction]:
    """Yield the prediction of each sample, one padded image at a time, on the segmenter's device."""
    device = next(segmenter.parameters()).device
    segmenter.eval()
    for sample in counted(samples, description):
        canvas = torch.from_numpy(pad(sample.image)).unsqueeze(0).to(device)  # (1, 1, H32, W32)
        outputs = [output[0].cpu().numpy() for output in segmenter(canvas)]
        probability, defect_type = (crop(output, *sample.image.shape) for output in outputs[:2])  # from (1, H32, W32)
        yield Prediction(sample, probability, defect_type, *(float(output[0]) for output in outputs[2:]))
