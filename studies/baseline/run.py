"""The first public project's recipe (recipe.py), trained and tested on one of our honest folds.

Differences from the original: we use segmentation-models-pytorch's U-Net instead of fastai's DynamicUnet. Both have
the ResNet-34 encoder; theirs has two more convolutions at its bottom, upsamples with learned pixel shuffle, has wider
decoder blocks, and a residual block at full resolution that sees the image itself once more. Ours trains on the fold's
train part (theirs: 80 % of the images, of which a tenth only monitored the training). If ResNet-34's ImageNet weights
are not available, our encoder replaces it; run.json says which one was used.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studies import literature
from studies.baseline.crops import BaselineCrops, normalise
from studies.baseline.recipe import Recipe
from studies.baseline.trainer import BaselineTrainer
from studies.literature import centre_crop, centre_window, read_masks, resize, scaled_size, with_mask
from training.dataset.index import FREE, read_digest
from training.dataset.samples import Sample
from training.evaluation.image_results import result_of, write_results
from training.evaluation.predict import Prediction
from training.fitting.checkpoint import RunState
from training.fitting.provenance import circumstances
from training.fitting.run import run_key
from training.network.mixed_precision import whole_float32
from training.params import Params
from training.progress import bar

RECIPE = Recipe()
RUN_FOLDER = Path(".run/baseline")


def train_model(
    params: Params, packages: dict[str, str], split: dict[str, str], samples: Mapping[str, list[Sample]]
) -> tuple[nn.Module, dict[str, Any]]:
    """Train, or continue an interrupted run; return the network and what run.json says about it."""
    crops = BaselineCrops(samples["train"], read_masks(params.data_load, above=0), RECIPE, params.base.seed)
    trainer = BaselineTrainer(RECIPE, params.base.seed, crops)
    key = baseline_key(run_key(params, packages, split), trainer)
    meta = trainer.train(RunState(RUN_FOLDER / key))
    return trainer.network, {
        "recipe": asdict(RECIPE),
        **trainer.encoder,
        "train_images": len(crops),
        "train_loss": meta["losses"],
        "seed": params.base.seed,
        "split": params.data_split.model_dump(),
        "data_digest": read_digest(),
        "run": key,
        **circumstances(meta),
    }


def baseline_key(fold_key: str, trainer: BaselineTrainer) -> str:
    """Return a digest of everything that the weights depend on, except the machine.

    fold_key: our own run's key on the same data.
    """
    digest = hashlib.sha256(json.dumps([fold_key, asdict(trainer.recipe), trainer.encoder]).encode())
    for path in (*sorted(Path(__file__).parent.glob("*.py")), Path(literature.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _predict_centre(network: nn.Module, image: np.ndarray) -> np.ndarray:
    """Return P(defect) · 255 on the centre crop of the scaled image. Shapes: (H, W) uint8 → (224, 224) uint8."""
    network.eval()
    size = scaled_size(*image.shape)
    crop = torch.from_numpy(resize(image, *size)[centre_window(*size)].astype(np.float32) / 255)
    logits: Tensor = network(normalise(crop.unsqueeze(0).to(next(network.parameters()).device)))
    return torch.round(255 * logits.softmax(dim=1)[0, 1]).to(torch.uint8).cpu().numpy()


def place_back(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a centre crop's probabilities on the whole image, 0 outside. Shapes: (224, 224) → (height, width)."""
    size = scaled_size(height, width)
    rows, columns = (
        slice(round(window.start * native / scaled), round(window.stop * native / scaled))
        for window, native, scaled in zip(centre_window(*size), (height, width), size, strict=True)
    )
    whole = np.zeros((height, width), np.uint8)
    whole[rows, columns] = resize(probability, *whole[rows, columns].shape)
    return whole


@whole_float32()
def write_tables(network: nn.Module, samples: Mapping[str, list[Sample]], params: Params, folder: Path) -> None:
    """Predict the test part and write its tables as the honest runs do."""
    masks = read_masks(params.data_load, above=0)
    native, cropped = [], []
    for sample in bar(iterable=samples["test"], desc="test", unit="image", leave=False):
        centre = _predict_centre(network, sample.image)
        whole = place_back(centre, *sample.image.shape)
        prediction = Prediction(sample, whole, np.zeros_like(whole))  # the recipe has no types
        native.append(result_of(prediction))
        if sample.entry.defect_type != FREE:
            frame = centre_crop(with_mask(prediction, masks[sample.entry.name]))
            cropped.append(result_of(replace(frame, probability=centre)))
    write_results(native, folder / "test.csv")
    write_results(cropped, folder / "test_centre_crop.csv")
