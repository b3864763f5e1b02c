"""Predict whole images with the served function, in torch and float32: evaluation measures these predictions."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from tiles import crop, pad
from training.dataset.samples import Sample
from training.network.served import ServedSegmenter


@dataclass(frozen=True)
class Prediction:
    """The served function's output for one sample. probability, defect_type: (H, W) uint8, as the served tensors."""

    sample: Sample
    probability: np.ndarray
    defect_type: np.ndarray


@torch.inference_mode()
def predict(segmenter: ServedSegmenter, samples: list[Sample], *, description: str) -> Iterator[Prediction]:
    """Yield the prediction of each sample, one padded image at a time, on the segmenter's device."""
    device = next(segmenter.parameters()).device
    segmenter.eval()
    for sample in tqdm(samples, desc=description, unit="image", leave=False):
        canvas = torch.from_numpy(pad(sample.image)).unsqueeze(0).to(device)  # (1, 1, H32, W32)
        probability, defect_type = (output[0].cpu().numpy() for output in segmenter(canvas))  # (1, H32, W32) each
        yield Prediction(sample, crop(probability, *sample.image.shape), crop(defect_type, *sample.image.shape))
