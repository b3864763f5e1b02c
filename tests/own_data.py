"""A small dataset of a user's own: castings in colour, of several sizes, with defect types that nobody else has."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from training_data import params_with

from tests.clones import change_params
from training.dataset.own_images import write_images
from training.dataset.table import read_table
from training.errors import DatasetError
from training.params import DataLoadParams

TYPES = ("Dent", "Rust spot")
CASTINGS = 6  # of each type and of Free, each photographed twice
COLOURS = {"Dent": (40, 40, 60), "Rust spot": (150, 60, 20)}
METAL = (150, 155, 160)


def write_castings(folder: Path) -> Path:
    """Write images, masks and the table that names them; return its path."""
    rng, rows = np.random.default_rng(1), [["image", "mask", "type", "casting"]]
    for defect_type in (*TYPES, "Free"):
        for number in range(2 * CASTINGS):
            casting, shot = divmod(number, 2)
            image = f"{defect_type}/{casting}-{shot}{'.png' if shot else '.jpg'}"
            mask = "" if defect_type == "Free" else f"{defect_type}/{casting}-{shot}.mask.png"
            write_casting(folder, image, mask, defect_type, rng)
            rows.append([image, mask, defect_type, f"{defect_type} {casting}"])
    table = folder / "castings.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return table


def write_casting(folder: Path, image: str, mask: str, defect_type: str, rng: np.random.Generator) -> None:
    """Write one image in RGB and, where it has a name, its mask in black and white, in RGB, too."""
    height, width = (int(side) for side in rng.integers(40, 150, size=2))
    pixels = np.full((height, width, 3), METAL, np.uint8) + rng.integers(0, 20, (height, width, 1), np.uint8)
    defect = np.zeros((height, width), bool)
    if mask:
        top, left = (int(rng.integers(0, side - 16)) for side in (height, width))
        defect[top : top + 16, left : left + 16] = True
        pixels[defect] = COLOURS[defect_type]
        (folder / mask).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(defect.astype(np.uint8) * 255).convert("RGB").save(folder / mask)
    (folder / image).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / image)


def params_of(table: Path, group: str | None = "casting", types: tuple[str, ...] = TYPES) -> DataLoadParams:
    changes = {"data_load__table": str(table), "data_load__group": group, "data_load__types": list(types)}
    return params_with(**changes).data_load


def use_castings(folder: Path, table: Path) -> None:
    """Edit a clone's parameters as docs/your_data.md tells a user to, and make the training small."""
    levels = YAML(typ="safe").load(folder / "params.yaml")["evaluate"]["robustness"]
    change_params(
        folder,
        data_load__table=str(table),
        data_load__group="casting",
        data_load__types=list(TYPES),
        data_load__digest="",
        data_split__folds=3,
        data_split__test_fold=1,
        data_split__validation_fold=2,
        train__epochs=2,
        train__crops_per_epoch=16,
        train__batch_size=8,
        train__crop_size=64,
        train__validate_every=1,
        evaluate__robustness={name: some[:1] for name, some in levels.items()},
        quantize__title="Castings",
        quantize__min_dice_pooled=0.0,  # two epochs make no good model
        quantize__min_auroc=0.0,
    )


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rewrite(table: Path, rows: list[dict[str, str]]) -> None:
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def change_row(table: Path, line: int, **cells: str) -> None:
    """Change cells of the row at a line of the table, as an editor counts them."""
    rows = rows_of(table)
    rows[line - 2] |= cells
    rewrite(table, rows)


def load(table: Path, folder: Path, **changes) -> list[str]:
    """Read the table and write the images below a folder, as data_load does; the warnings."""
    params = params_of(table, **changes)
    return write_images(read_table(table, params), params, folder)


def refuse_load(table: Path, folder: Path, words: str) -> None:
    """Loading is refused in these words, a regular expression, and leaves no index."""
    with pytest.raises(DatasetError, match=words):
        load(table, folder)
    assert not (folder / "index.csv").exists()
