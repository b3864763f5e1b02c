"""`python -m studies.misses`: which defects the networks of all folds miss → studies/misses.md and studies/misses.jpg.

A network that was not trained on the tile predicts each photograph. It needs the dataset: `dvc repro data_load` first.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from host.files import replacing, write_whole
from studies.runs import TABLES_FOLDER, honest_folders, outcomes_of, refuse_own_images
from tiles.pictures import GAP, INK, PAPER, TRUTH, overlay
from training.dataset.index import read_index
from training.dataset.samples import Sample, load_sample
from training.errors import StudyError, exit_status
from training.evaluation.figures import Outcomes, join
from training.files import TILES_FOLDER
from training.params import load_params
from training.reports.templates import render

PAGE, SHEET = Path("studies/misses.md"), Path("studies/misses.jpg")
TEMPLATE = Path(__file__).with_name("misses.md.j2")
EDGE = 12  # pixels: a defect that comes as near as this to the photograph's frame is at an end of the tile
SIZES = (50, 200, 1000, 5000)  # pixels: a class of areas ends below each of these
SURE = 0.9  # share found: from some area on the network finds as many
ENOUGH = 10  # defects: a share of fewer says nothing
NUMBERS = ("One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
SHOWN = 3  # missed photographs of each type, each of another tile
LINE = 5  # pixels, odd: an outline is half as wide
PANEL = 260  # pixels, the largest side of a picture on the sheet


@dataclass(frozen=True)
class Defect:
    """A photograph with a defect.

    Attributes:
        name, tile, defect_type: as in the dataset's index.
        area: pixels of the published mask.
        distance: pixels between the mask and the nearest side of the photograph; 0 if it touches it.
        found: whether a marked pixel lies on the mask.
        score: 0–1.
    """

    name: str
    tile: str
    defect_type: str
    area: int
    distance: int
    found: bool
    score: float

    @property
    def at_an_end(self) -> bool:
        """Whether the defect is near the photograph's frame."""
        return self.distance <= EDGE


def distance_to_frame(mask: np.ndarray) -> int:
    """Return the pixels between a mask and the nearest side. Shape: (H, W) bool, not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return int(min(rows[0], height - 1 - rows[-1], columns[0], width - 1 - columns[-1]))


def read_defects() -> list[Defect]:
    """Return every photograph with a defect, as its own fold's network and operating point found it.

    Raises: StudyError, when the masks are not those that the networks were tested on.
    """
    outcomes = join([outcomes_of(folder) for folder in honest_folders()])
    found = dict(zip(outcomes.name, zip(outcomes.true_positive > 0, outcomes.score, strict=True), strict=True))
    samples = [load_sample(entry) for entry in read_index() if entry.name in found]
    _refuse_other_masks(samples, outcomes)
    return [
        Defect(
            sample.entry.name,
            sample.entry.tile,
            sample.entry.defect_type,
            int(sample.mask.sum()),
            distance_to_frame(sample.mask),
            bool(found[sample.entry.name][0]),
            float(found[sample.entry.name][1]),
        )
        for sample in samples
        if sample.mask.any()
    ]


def _refuse_other_masks(samples: Sequence[Sample], outcomes: Outcomes) -> None:
    there = {(s.entry.name, s.entry.tile, s.entry.defect_type, int(s.mask.sum())) for s in samples}
    if other := sorted(name for name, *_ in set(outcomes.truth) - there):
        raise StudyError(
            f"{TILES_FOLDER} and {TABLES_FOLDER} differ in tile, type or mask of {len(other)} photographs ({other[0]}, "
            "for one): run `dvc repro data_load` with the tables' parameters, or delete the tables and run "
            "`python -m studies.crossval`"
        )


def smallest_sure_area(defects: Sequence[Defect]) -> int | None:
    """Return the smallest area such that, of at least ENOUGH defects as large or larger, the share SURE is found."""
    for smallest in sorted(defect.area for defect in defects if defect.found):
        found = [defect.found for defect in defects if defect.area >= smallest]
        if len(found) >= ENOUGH and np.mean(found) >= SURE:
            return smallest
    return None


def _found_of(defects: Sequence[Defect]) -> str:
    return f"{sum(defect.found for defect in defects)} of {len(defects)}" if defects else "–"


def _class_names() -> list[str]:
    return [f"below {SIZES[0]}", *(f"{a}–{b - 1}" for a, b in pairwise(SIZES)), f"from {SIZES[-1]}"]


def size_rows(defects: Sequence[Defect], types: Sequence[str]) -> list[list[str]]:
    """Return how many are found, a row for each type and a column for each class of areas."""
    classes = np.searchsorted(SIZES, [defect.area for defect in defects], side="right")

    def row(name: str, chosen: Callable[[Defect], bool]) -> list[str]:
        sized = [
            _found_of([defect for defect, each in zip(defects, classes, strict=True) if each == of and chosen(defect)])
            for of in range(len(SIZES) + 1)
        ]
        return [name, *sized, _found_of([defect for defect in defects if chosen(defect)])]

    return [
        *(row(name, lambda defect, name=name: defect.defect_type == name) for name in types),  # type: ignore[misc]
        row("all", lambda _: True),
    ]


def place_rows(defects: Sequence[Defect], types: Sequence[str]) -> list[list[str]]:
    """Return for each type, at an end of the tile and inside: how many are found, the smallest, and from where on."""
    rows = []
    for name in types:
        for place, at_an_end in (("at an end", True), ("inside", False)):
            chosen = [d for d in defects if d.defect_type == name and d.at_an_end == at_an_end]
            smallest = min((d.area for d in chosen if d.found), default=None)
            areas = ("–" if area is None else f"{area:,}" for area in (smallest, smallest_sure_area(chosen)))
            rows.append([name, place, _found_of(chosen), *areas])
    return rows


def missed_to_show(defects: Sequence[Defect], types: Sequence[str]) -> list[list[Defect]]:
    """Return for each type that has missed defects the largest ones, one of each tile."""
    shown = []
    for name in types:
        missed = [defect for defect in defects if defect.defect_type == name and not defect.found]
        largest_first = sorted(missed, key=lambda defect: -defect.area)
        of_each_tile = {defect.tile: defect for defect in reversed(largest_first)}
        shown.append(sorted(of_each_tile.values(), key=lambda defect: -defect.area)[:SHOWN])
    return [row for row in shown if row]


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the pixels around a mask, so that the defect itself stays visible. Shapes: (H, W) bool → (H, W) bool."""
    grown = Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(LINE))
    around: np.ndarray = np.asarray(grown, bool) & ~mask
    return around


def draw_sheet(rows: Sequence[Sequence[Defect]]) -> Image.Image:
    """Draw each row: each photograph with its published mask outlined in blue."""
    entries = {entry.name: entry for entry in read_index()}
    font = ImageFont.load_default(14)
    height = PANEL + 2 * 14 + 3 * GAP
    sheet = Image.new("RGB", (SHOWN * (PANEL + GAP) + GAP, height * len(rows)), PAPER)
    for line, row in enumerate(rows):
        for column, defect in enumerate(row):
            sample = load_sample(entries[defect.name])
            picture = overlay(sample.image, outline(sample.mask), TRUTH)
            picture.thumbnail((PANEL, PANEL))
            left, top = GAP + column * (PANEL + GAP), line * height + GAP
            sheet.paste(picture, (left, top))
            text = f"{defect.defect_type}, {defect.area:,} pixels, score {defect.score:.2f}\n{defect.name}"
            ImageDraw.Draw(sheet).text((left, top + picture.height + GAP), text, fill=INK, font=font)
    return sheet


def page_values(defects: Sequence[Defect], types: Sequence[str], networks: int) -> dict[str, Any]:
    """Return the template's variables. networks: how many were measured."""
    tiles = {d.tile for d in defects}
    ends, inside = ([d for d in defects if d.at_an_end == at_an_end] for at_an_end in (True, False))
    missed_tiles = [t for t in tiles if not any(d.found for d in defects if d.tile == t)]
    return {
        "networks": NUMBERS[networks - 1] if networks <= len(NUMBERS) else networks,
        "photographs": len(defects),
        "missed": sum(not d.found for d in defects),
        "tiles": len(tiles),
        "missed_tiles": sorted(missed_tiles),
        "ends": _found_of(ends),
        "inside": _found_of(inside),
        "small": SIZES[0],
        "below_small": _found_of([d for d in defects if d.area < SIZES[0]]),
        "edge": EDGE,
        "enough": ENOUGH,
        "sure": SURE,
        "classes": [*_class_names(), "all"],
        "size_rows": size_rows(defects, types),
        "place_rows": place_rows(defects, types),
        "sheet": SHEET.name,
    }


def main() -> None:
    """Read the tables and masks, and write the page and its sheet; no sheet where nothing was missed."""
    params = load_params()
    refuse_own_images(params)
    defects = read_defects()
    types = [name for name in params.data_load.types if any(d.defect_type == name for d in defects)]
    if missed := missed_to_show(defects, types):
        with replacing(SHEET) as aside:
            draw_sheet(missed).save(aside, "JPEG", quality=85)
    else:
        SHEET.unlink(missing_ok=True)
    write_whole(PAGE, render(TEMPLATE, **page_values(defects, types, len(honest_folders()))))


if __name__ == "__main__":
    sys.exit(exit_status(main))
