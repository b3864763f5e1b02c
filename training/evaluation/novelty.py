"""The constants of the served tensor `novelty`: normal distributions of the training images' descriptions."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from tiles import pad
from training.dataset.samples import Sample
from training.network.novelty import DESCRIPTIONS, Normal, Novelty, describe
from training.network.segmenter import Segmenter
from training.network.served import normalise

AXES = {"features": 48, "size": 2, "greys": 2}  # along which the variance is measured
FAMILIAR_SHARE = 0.995  # of the images from which a limit is chosen


@torch.inference_mode()
def describe_images(network: Segmenter, images: Sequence[np.ndarray], *, description: str) -> dict[str, Tensor]:
    """Return the descriptions of images, {name: (images, D) float32}. images: (H, W) uint8 each."""
    rows = list(_descriptions(network, images, description))
    return {name: torch.cat([row[name] for row in rows]) for name in DESCRIPTIONS}


def _descriptions(network: Segmenter, images: Sequence[np.ndarray], description: str) -> Iterator[dict[str, Tensor]]:
    device = next(network.parameters()).device
    network.eval()
    for image in tqdm(images, desc=description, unit="image", leave=False):
        grey = normalise(torch.from_numpy(pad(image)).unsqueeze(0).to(device))  # (1, 1, H32, W32)
        yield {name: row.cpu() for name, row in describe(grey, network.encoder(grey)).items()}


def fit_novelty(described: dict[str, Tensor]) -> Novelty:
    """Fit the distributions to the descriptions of the training images; the limits are the images' own."""
    novelty = Novelty({name: (rows.shape[1], AXES[name]) for name, rows in described.items()})
    for name, rows in described.items():
        normal = novelty.normals[name]
        _fit(normal, rows)
        normal.limit.copy_(normal(rows).quantile(FAMILIAR_SHARE))
    return novelty.eval()


def _fit(normal: Normal, rows: Tensor) -> None:
    mean, scale = rows.mean(dim=0), rows.std(dim=0).clamp(min=1e-6)
    deviation = ((rows - mean) / scale).double()
    _, spread, axes = torch.linalg.svd(deviation, full_matrices=False)
    spread = spread / np.sqrt(len(rows) - 1)
    kept = normal.axes.shape[1]
    left = spread[kept:]
    normal.mean.copy_(mean)
    normal.scale.copy_(scale)
    normal.axes.copy_(axes[:kept].T)
    normal.spread.copy_(spread[:kept])
    normal.residual_spread.copy_((left.square().sum() / rows.shape[1]).sqrt().clamp(min=1e-3))


def novelty_limit(values: Sequence[float]) -> float:
    """Return the lowest limit, a multiple of 0.0001, that leaves FAMILIAR_SHARE of these images familiar."""
    return float(np.ceil(np.quantile(values, FAMILIAR_SHARE, method="higher") * 1e4) / 1e4)


def measure_novelty(novelty: Novelty, described: dict[str, Tensor]) -> list[float]:
    """Return the novelty of each described image."""
    distances = [novelty.normals[name](described[name]) for name in DESCRIPTIONS]
    return [float(value) for value in torch.stack(distances).amax(dim=0)]


def images_of(samples: Sequence[Sample]) -> list[np.ndarray]:
    """Return the images of samples."""
    return [sample.image for sample in samples]
