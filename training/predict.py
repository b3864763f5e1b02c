"""Predictions of whole tiles by the deployed network, in torch and float32: evaluation measures them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from tiles import crop, pad
from training.dataset import Sample
from training.deployed import DeployedSegmenter


@dataclass(frozen=True)
class Prediction:
    """What the served model says of one sample. probability, type: (H, W) uint8, as the served tensors."""

    sample: Sample
    probability: np.ndarray
    type: np.ndarray


@torch.inference_mode()
def predict(segmenter: DeployedSegmenter, samples: list[Sample], *, description: str) -> Iterator[Prediction]:
    """Yield the prediction of each sample, one padded tile at a time, on the segmenter's device."""
    device = next(segmenter.parameters()).device
    segmenter.eval()
    for sample in tqdm(samples, desc=description, unit="tile", leave=False):
        canvas = torch.from_numpy(pad(sample.tile)).unsqueeze(0).to(device)
        probability, defect_type = (output[0].cpu().numpy() for output in segmenter(canvas))
        yield Prediction(sample, crop(probability, *sample.tile.shape), crop(defect_type, *sample.tile.shape))
