"""The served tensor `novelty`: its constants, fitted to the training images, its limit, and what it catches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tiles import pad
from training.dataset.samples import Sample
from training.evaluation.other_images import other_images
from training.network.novelty import Novelty, describe
from training.network.segmenter import Segmenter
from training.network.served import normalise
from training.progress import counted, progress

AXES = 64  # of 128 for the shipped encoder: more catch fewer negatives, fewer leave too much to the residual
FAMILIAR_SHARE = 0.995  # of the validation images; the limit is the lowest that leaves so many familiar
# The least spread: training images may be too few or too much alike to have one. Narrower ones would make differences
# between ONNX Runtime and torch count.
FLATTEST = 0.05


@dataclass(frozen=True)
class Fitted:
    """A fitted novelty, its limit and its figures.

    Attributes:
        novelty: the module, with its constants.
        limit: an image is familiar if its novelty is at most this.
        figures: of the test images and of other images, by kind.
    """

    novelty: Novelty
    limit: float
    figures: dict[str, Any]


def fit_and_measure(
    network: Segmenter, train: Sequence[Sample], validation: Sequence[Sample], test: Sequence[Sample]
) -> Fitted:
    """Fit to the training images, choose the limit on the validation images, measure on test images and others."""
    own = {"train": _images(train), "validation": _images(validation), "test": _images(test)}
    others = other_images(own["test"])
    images = own | others
    with progress("novelty", sum(map(len, images.values()))):
        described = {name: describe_images(network, each, name) for name, each in images.items()}
    novelty = fit_novelty(described["train"])
    limit = novelty_limit(novelty(described["validation"]).flatten().tolist())
    figures = {
        "limit": limit,
        "test": _counted("unfamiliar", novelty(described["test"]), limit),
        "others": {kind: _counted("caught", novelty(described[kind]), limit) for kind in others},
    }
    return Fitted(novelty, limit, figures)


def total(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of several folds together, each counted at its own limit; empty if there is none."""
    if not parts:
        return {}
    kinds = parts[0]["others"]
    return {
        "test": _sum("unfamiliar", [part["test"] for part in parts]),
        "others": {kind: _sum("caught", [part["others"][kind] for part in parts]) for kind in kinds},
    }


def _sum(word: str, counts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    images, beyond = (sum(each[name] for each in counts) for name in ("images", word))
    return {"images": images, word: beyond, f"{word}_share": beyond / images}


def _images(samples: Sequence[Sample]) -> list[np.ndarray]:
    return [sample.image for sample in samples]


def _counted(word: str, novelty: Tensor, limit: float) -> dict[str, Any]:
    beyond = int((novelty > limit).sum())
    return {"images": len(novelty), word: beyond, f"{word}_share": beyond / len(novelty)}


@torch.inference_mode()
def describe_images(network: Segmenter, images: Sequence[np.ndarray], description: str) -> Tensor:
    """Describe images one at a time. Shapes: images (H, W) uint8 each → (images, D) float32."""
    return torch.cat(list(_descriptions(network, images, description)))


def _descriptions(network: Segmenter, images: Sequence[np.ndarray], description: str) -> Iterator[Tensor]:
    device = next(network.parameters()).device
    network.eval()
    for image in counted(images, description):
        grey = normalise(torch.from_numpy(pad(image)).unsqueeze(0).to(device))  # (1, 1, H32, W32)
        yield describe(grey, network.encoder(grey)).cpu()


def fit_novelty(described: Tensor) -> Novelty:
    """Fit a normal distribution to the descriptions of the training images. Shapes: (images, D)."""
    novelty = Novelty(described.shape[1], AXES)
    mean, scale = described.mean(dim=0), described.std(dim=0, correction=0).clamp(min=FLATTEST)
    _, lengths, axes = torch.linalg.svd(((described - mean) / scale).double(), full_matrices=False)
    spread = lengths / np.sqrt(len(described))  # falling
    kept = min(AXES, len(spread))
    novelty.mean.copy_(mean)
    novelty.scale.copy_(scale)
    novelty.axes[:, :kept] = axes[:kept].T.float()
    novelty.spread[:kept] = spread[:kept].clamp(min=FLATTEST).float()
    novelty.residual_spread.copy_((spread[kept:].square().sum() / len(mean)).sqrt().clamp(min=FLATTEST))
    return novelty.eval()


def novelty_limit(values: Sequence[float]) -> float:
    """Return the lowest limit, a multiple of 0.0001, that leaves FAMILIAR_SHARE of these images familiar."""
    return float(np.ceil(np.quantile(values, FAMILIAR_SHARE, method="inverted_cdf") * 1e4) / 1e4)
