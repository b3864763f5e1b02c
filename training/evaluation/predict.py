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
    """The served function's output for one sample.

    Attributes:
        sample: what was predicted.
        probability, defect_type: (H, W) uint8, as the served tensors.
        novelty: as the served tensor; nothing where the function has none.
    """

    sample: Sample
    probability: np.ndarray
    defect_type: np.ndarray
    novelty: float | None = None


@torch.inference_mode()
def predict(segmenter: ServedSegmenter, samples: list[Sample], *, description: str) -> Iterator[Prediction]:
    """Yield the prediction of each sample, one padded image at a time, on the segmenter's device."""
    device = next(segmenter.parameters()).device
    segmenter.eval()
    for sample in tqdm(samples, desc=description, unit="image", leave=False):
        canvas = torch.from_numpy(pad(sample.image)).unsqueeze(0).to(device)  # (1, 1, H32, W32)
        probability, defect_type, *rest = (output[0].cpu().numpy() for output in segmenter(canvas))
        cropped = (crop(output, *sample.image.shape) for output in (probability, defect_type))  # from (1, H32, W32)
        yield Prediction(sample, *cropped, *(float(value[0]) for value in rest))
