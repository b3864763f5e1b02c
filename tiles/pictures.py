"""Pictures for people: a tile, its true mask and the found one side by side, and many such pictures on one sheet.

All pictures are RGB.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TRUTH = (40, 160, 255)  # blue and orange are told apart by most colour-blind eyes, and neither is a grey
FOUND = (255, 120, 0)
OPACITY = 0.55
PAPER = (255, 255, 255)
INK = (30, 30, 30)
GAP = 8  # pixels between panels and around them
CAPTION_HEIGHT = 20
FONT_SIZE = 13
SHEET_COLUMNS = 3
SHEET_CELL = (480, 300)  # width and height in pixels


def side_by_side(tile: np.ndarray, truth: np.ndarray, found: np.ndarray, captions: Sequence[str]) -> Image.Image:
    """Draw image | truth | prediction, each under its caption.

    Shapes: tile (H, W) uint8, truth and found (H, W) bool, three captions.
    """
    panels = [Image.fromarray(tile).convert("RGB"), overlay(tile, truth, TRUTH), overlay(tile, found, FOUND)]
    font = ImageFont.load_default(FONT_SIZE)
    height, width = tile.shape
    column = max(width, *(int(font.getlength(caption)) for caption in captions)) + GAP
    picture = Image.new("RGB", (3 * column + GAP, CAPTION_HEIGHT + height + 2 * GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for place, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left = GAP + place * column
        draw.text((left, GAP // 2), caption, fill=INK, font=font)
        picture.paste(panel, (left, CAPTION_HEIGHT + GAP))
    return picture


def overlay(tile: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> Image.Image:
    """Lay a colour over the masked pixels, so that the grey below still shows.

    Shapes: tile (H, W) uint8, mask (H, W) bool.
    """
    pixels = np.repeat(tile[:, :, np.newaxis], 3, axis=2).astype(np.float32)
    pixels[mask] = (1 - OPACITY) * pixels[mask] + OPACITY * np.array(colour, np.float32)
    return Image.fromarray(pixels.round().astype(np.uint8))


def overview(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put all pictures on one sheet, each shrunk to fit its cell."""
    rows = -(-len(pictures) // SHEET_COLUMNS)
    width, height = SHEET_CELL
    sheet = Image.new("RGB", (SHEET_COLUMNS * width, rows * height), PAPER)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, SHEET_COLUMNS)
        small = picture.copy()
        small.thumbnail((width - GAP, height - GAP))
        sheet.paste(small, (column * width + GAP // 2, row * height + GAP // 2))
    return sheet
