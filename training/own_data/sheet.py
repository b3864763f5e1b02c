"""The contact sheet: images of each type with their masks, to look at before training."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tiles.pictures import GAP, INK, PAPER, SMALLEST_FONT, TRUTH, overlay, overview
from training.dataset.index import Entry
from training.dataset.samples import Sample, load_sample

COLUMNS, CELL = 4, (300, 280)  # 1,200 pixels wide
ROWS_OF_A_TYPE = 2


def draw_sheet(entries: Sequence[Entry], folder: Path, types: Sequence[str]) -> Image.Image:
    """Draw images of each type, from the smallest to the largest defect. folder: one like data/tiles."""
    by_type = defaultdict(list)
    for entry in sorted(entries, key=share):
        by_type[entry.defect_type].append(entry)
    chosen = [entry for name in sorted(by_type) for entry in _spread(by_type[name], COLUMNS * ROWS_OF_A_TYPE)]
    samples = (load_sample(entry, tuple(types), folder=folder) for entry in chosen)
    return overview([_picture(sample) for sample in samples], COLUMNS, CELL)


def share(entry: Entry) -> float:
    """Return the defective share of an image's pixels."""
    return entry.defect_pixels / (entry.width * entry.height)


def _spread(entries: Sequence[Entry], count: int) -> list[Entry]:
    """Return so many entries at equal distances, with the first and the last."""
    places = np.linspace(0, len(entries) - 1, min(count, len(entries)))
    return [entries[round(place)] for place in places]


def _picture(sample: Sample) -> Image.Image:
    """Draw an image with its mask and a box around it, shrunk to a cell, above its name, type and share."""
    small = Image.fromarray(sample.image)
    small.thumbnail((CELL[0] - GAP, CELL[1] - 3 * SMALLEST_FONT))
    # Shrunk by the mean, one pixel in a large photograph still is above 0
    mask = np.asarray(Image.fromarray(sample.mask.astype(np.float32)).resize(small.size, Image.Resampling.BOX)) > 0
    font = ImageFont.load_default(SMALLEST_FONT)
    picture = Image.new("RGB", (CELL[0] - GAP, small.height + 3 * SMALLEST_FONT), PAPER)
    picture.paste(overlay(np.asarray(small), mask, TRUTH))
    draw = ImageDraw.Draw(picture)
    if mask.any():
        rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        draw.rectangle((columns[0] - 1, rows[0] - 1, columns[-1] + 1, rows[-1] + 1), outline=TRUTH)
    caption = f"{sample.entry.defect_type}, {share(sample.entry):.2%} defective"
    for line, text in enumerate((sample.entry.name[-CELL[0] // 8 :], caption)):
        draw.text((0, small.height + 2 + line * (SMALLEST_FONT + 2)), text, fill=INK, font=font)
    return picture
