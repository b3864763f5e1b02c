"""Sheets of pictures: the worst, the median and the best photographs, one of each tile."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tiles.operating_point import OperatingPoint
from tiles.pictures import FOUND, GAP, INK, PAPER, TRUTH, overlay
from training.evaluation.predict import Prediction

WIDTH = 1200  # pixels: a sheet fits on a small screen
PANEL = (WIDTH // 3 - 2 * GAP, 320)  # largest width and height, in pixels
HEADING_SIZE, CAPTION_SIZE = 20, 14  # pixels
Pairs = Sequence[tuple[Prediction, float]]  # a prediction with its Dice
HEADINGS = {
    "worst": "The worst photographs, one of each tile",
    "median": "The median tiles",
    "best": "The best photographs, one of each tile",
}
PANELS = "image, truth (blue), found (orange)"


def write_gallery(worst_first: Pairs, point: OperatingPoint, rows: int, folder: Path) -> None:
    """Draw the worst, the median and the best photographs with their Dice, one row for each tile.

    A tile is on the worst sheet with its worst photograph, on the best sheet with its best one, and on the median sheet
    with its median one.
    """
    folder.mkdir(exist_ok=True)
    middling = _of_each_tile(worst_first, "median")
    middle = max(0, (len(middling) - rows) // 2)
    chosen = {
        "worst": _of_each_tile(worst_first, "worst")[:rows],
        "median": middling[middle : middle + rows],
        "best": _of_each_tile(worst_first, "best")[-rows:][::-1],
    }
    for name, pairs in chosen.items():
        if pairs:
            heading = f"{HEADINGS[name]}: {PANELS}"
            pictures = [_picture(prediction, dice, point) for prediction, dice in pairs]
            stack([_heading(heading), *pictures]).save(folder / f"{name}.png", optimize=True)


def _of_each_tile(worst_first: Pairs, which: str) -> list[tuple[Prediction, float]]:
    """Return one photograph of each tile, the worst first. which: worst, median or best of the tile's photographs."""
    tiles: dict[str, list[int]] = {}
    for place, (prediction, _) in enumerate(worst_first):
        tiles.setdefault(prediction.sample.entry.tile, []).append(place)
    places = [{"worst": each[0], "median": each[len(each) // 2], "best": each[-1]}[which] for each in tiles.values()]
    return [worst_first[place] for place in sorted(places)]


def _picture(prediction: Prediction, dice: float, point: OperatingPoint) -> Image.Image:
    """Draw one row; the panels of all rows stand below each other."""
    sample, found = prediction.sample, point.mask(prediction.probability)
    panels = [
        Image.fromarray(sample.image).convert("RGB"),
        *(overlay(sample.image, *each) for each in ((sample.mask, TRUTH), (found, FOUND))),
    ]
    captions = [
        f"{sample.entry.name}, tile {sample.entry.tile}",
        f"truth: {sample.entry.defect_type}, {int(sample.mask.sum()):,} pixels",
        f"found: {int(found.sum()):,} pixels, Dice {dice:.2f}",
    ]
    for panel in panels:
        panel.thumbnail(PANEL)
    picture = Image.new("RGB", (WIDTH, CAPTION_SIZE + 3 * GAP + panels[0].height), PAPER)
    for place, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left = GAP + place * WIDTH // len(panels)
        ImageDraw.Draw(picture).text((left, GAP), caption, fill=INK, font=ImageFont.load_default(CAPTION_SIZE))
        picture.paste(panel, (left, CAPTION_SIZE + 2 * GAP))
    return picture


def _heading(text: str) -> Image.Image:
    font = ImageFont.load_default(HEADING_SIZE)
    picture = Image.new("RGB", (int(font.getlength(text)) + 2 * GAP, HEADING_SIZE + 2 * GAP), PAPER)
    ImageDraw.Draw(picture).text((GAP, GAP), text, fill=INK, font=font)
    return picture


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures below each other."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
