"""What the tests of the pipeline are made of: sample tiles as members, small zips, parameters, predictions."""

import zipfile
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image
from ruamel.yaml import YAML
from torch import nn

from tests.clones import set_knobs
from training.dataset.index import FREE, Entry
from training.dataset.published import read_tile_ids, write_dataset
from training.dataset.samples import Sample
from training.evaluation.predict import Prediction
from training.params import Params

ROOT = Path(__file__).parent.parent
SAMPLE_TILES = ROOT / "samples" / "tiles"

# What stands beside the weights of every run: where, when, from what
CIRCUMSTANCES = {"commit", "dirty", "lock_digest", "machine", "begun", "seconds"}

# Knobs of a network that takes little time, for tests of what is around it
SMALL_NETWORK = {"train__encoder": "tu-mobilenetv3_small_050", "train__decoder_channels": [8, 8, 8, 8]}


def few_draws(patch: pytest.MonkeyPatch) -> None:
    """Let evaluation draw tiles twenty times for its intervals, for tests of the files that it writes."""
    for module in ("outputs", "plots"):
        patch.setattr(f"training.evaluation.{module}.BOOTSTRAP_SAMPLES", 20)


# A property that holds slowly, on a machine that is busy, still holds.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def shipped_knobs() -> dict[str, dict[str, Any]]:
    """params.yaml as nested dictionaries."""
    return YAML(typ="safe").load(ROOT / "params.yaml")


def knobs_with(**changes: Any) -> dict[str, dict[str, Any]]:
    """The shipped knobs with some changed: knobs_with(train__epochs=2, evaluate__robustness__blur=[1.0])."""
    knobs = shipped_knobs()
    set_knobs(knobs, changes)
    return knobs


def params_with(**changes: Any) -> Params:
    """The shipped parameters with some changed: params_with(train__epochs=2)."""
    return Params.model_validate(knobs_with(**changes))


def write_knobs(path: Path, **changes: Any) -> Path:
    """Write a params.yaml with some knobs changed."""
    YAML(typ="safe").dump(knobs_with(**changes), path)
    return path


def sample_members(*types: str) -> dict[str, bytes]:
    """The sample images and masks of these types (of all without any), named as in the archive."""
    chosen = [f"MT_{name}" for name in types] or ["MT_*"]
    paths = [path for folder in chosen for path in sorted(SAMPLE_TILES.glob(f"{folder}/Imgs/*"))]
    return {path.relative_to(SAMPLE_TILES).as_posix(): path.read_bytes() for path in paths}


def sample_names(defect_type: str) -> list[str]:
    """The sample images of a type as "<type>/<image>", in the order of their images."""
    return [f"{defect_type}/{path.stem}" for path in sorted(SAMPLE_TILES.glob(f"MT_{defect_type}/Imgs/*.jpg"))]


def write_zip(
    path: Path, members: dict[str, bytes], *, root: str = "dataset-master/", compression: int = zipfile.ZIP_STORED
) -> Path:
    """Write members below a root folder, in the dictionary's order."""
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for name, content in members.items():
            zipped.writestr(root + name, content)
    return path


def an_entry(name: str, defect_type: str, *, tile: str = "", defect_pixels: int = 0) -> Entry:
    return Entry(name, tile or name, defect_type, width=8, height=8, defect_pixels=defect_pixels)


def a_sample(
    image: np.ndarray, mask: np.ndarray, *, defect_type: str = FREE, name: str = "1", tile: str = ""
) -> Sample:
    """image: (H, W) uint8, mask: (H, W) bool."""
    height, width = image.shape
    return Sample(Entry(name, tile or name, defect_type, width, height, int(mask.sum())), image, mask)


def real_sample(name: str) -> Sample:
    """A sample image with its mask, by "<type>/<image>"."""
    defect_type, stem = name.split("/")
    path = SAMPLE_TILES / f"MT_{defect_type}" / "Imgs" / stem
    image = np.asarray(Image.open(path.with_suffix(".jpg")).convert("L"))
    mask = np.asarray(Image.open(path.with_suffix(".png")).convert("L")) > 127
    return a_sample(image, mask, defect_type=defect_type, name=stem)


def a_prediction(
    mask: np.ndarray,
    probability: np.ndarray,
    *,
    found: int = 1,
    defect_type: str = FREE,
    name: str = "1",
    tile: str = "",
) -> Prediction:
    """A prediction of a black image, all of whose pixels are of the type `found` (1–5)."""
    sample = a_sample(np.zeros(mask.shape, np.uint8), mask, defect_type=defect_type, name=name, tile=tile)
    return Prediction(sample, probability.astype(np.uint8), np.full(mask.shape, found, np.uint8))


def write_project(folder: Path, parts: dict[str, list[str]], **knobs: Any) -> None:
    """Write what the stages after data_split read: params.yaml, data/tiles/ and data/split.csv.

    parts: {"train": ["<type>/<image>", …], …}, of the sample images.
    """
    members = sample_members()
    names = {f"MT_{name.replace('/', '/Imgs/')}": part for part, chosen in parts.items() for name in chosen}
    chosen_members = {f"{name}{suffix}": members[f"{name}{suffix}"] for name in names for suffix in (".jpg", ".png")}
    shown = sorted({name.split("/")[0].removeprefix("MT_") for name in names} - {FREE})
    load = params_with(**knobs).data_load.model_copy(update={"types": shown})  # it refuses a type without an image
    write_knobs(folder / "params.yaml", **knobs)
    write_dataset(chosen_members, read_tile_ids(), load, folder / "data" / "tiles")
    rows = [f"{name.split('/')[-1]},{part}" for name, part in names.items()]
    (folder / "data" / "split.csv").write_text("\n".join(["image,part", *rows]) + "\n")


class GreyIsDefect(nn.Module):
    """A network without memory, made as a Segmenter is: the brighter a pixel, the more likely a Crack."""

    classes = 6

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.PixelUnshuffle(2), nn.Identity()  # four pixels at each place
        self.head = nn.Sequential(nn.Conv2d(4, 4 * self.classes, kernel_size=1), nn.PixelShuffle(2))
        with torch.no_grad():
            self.head[0].weight.zero_()
            self.head[0].bias.fill_(-20.0)
            self.head[0].bias[:4] = 0  # of background
            for pixel in range(4):
                self.head[0].weight[3 * 4 + pixel, pixel] = 4.0
                self.head[0].bias[3 * 4 + pixel] = 0

    def forward(self, image):
        return self.head(self.decoder(self.encoder(image)))


def without_model_hub(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """No network and an empty cache, wherever the tests run."""
    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
