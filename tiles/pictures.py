"""Draw an image, its true mask and the found one side by side, and many such pictures on one sheet.

Knows no server. All pictures are RGB.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TRUTH = (40, 160, 255)  # most colour-blind people can distinguish blue and orange, and neither is a grey
FOUND = (255, 120, 0)
OPACITY = 0.55
PAPER = (255, 255, 255)
INK = (30, 30, 30)
GAP = 8  # pixels between panels and around them
SMALLEST_FONT = 13  # pixels
FONTS_IN_WIDTH = 18  # a wide image gets a larger caption, still readable when the picture is shrunk onto the sheet
SHEET_COLUMNS = 3
SHEET_CELL = (560, 360)  # width and greatest height in pixels


def side_by_side(image: np.ndarray, truth: np.ndarray, found: np.ndarray, captions: Sequence[str]) -> Image.Image:
    """Draw image | truth | prediction, each under its caption.

    Shapes: image (H, W) uint8, truth and found (H, W) bool, three captions.
    """
    panels = [Image.fromarray(image).convert("RGB"), overlay(image, truth, TRUTH), overlay(image, found, FOUND)]
    height, width = image.shape
    font_size = max(SMALLEST_FONT, width // FONTS_IN_WIDTH)
    font = ImageFont.load_default(font_size)
    column = GAP + max(width, *(int(font.getlength(caption)) for caption in captions))
    top = 2 * GAP + font_size
    picture = Image.new("RGB", (3 * column + GAP, top + height + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for place, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left = GAP + place * column
        draw.text((left, GAP), caption, fill=INK, font=font)
        picture.paste(panel, (left, top + GAP // 2))
    return picture


def overlay(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> Image.Image:
    """Lay a colour over the masked pixels, so that the grey below still shows.

    Shapes: image (H, W) uint8, mask (H, W) bool.
    """
    pixels = np.repeat(image[:, :, np.newaxis], 3, axis=2).astype(np.float32)
    pixels[mask] = (1 - OPACITY) * pixels[mask] + OPACITY * np.array(colour, np.float32)
    return Image.fromarray(pixels.round().astype(np.uint8))


def overview(
    pictures: Sequence[Image.Image], columns: int = SHEET_COLUMNS, cell: tuple[int, int] = SHEET_CELL
) -> Image.Image:
    """Put all pictures on one sheet, each shrunk to fit its cell; a row is as high as its highest picture."""
    small = [picture.copy() for picture in pictures]
    for picture in small:
        picture.thumbnail((cell[0] - GAP, cell[1]))
    rows = [small[first : first + columns] for first in range(0, len(small), columns)]
    heights = [GAP + max(picture.height for picture in row) for row in rows]
    sheet = Image.new("RGB", (columns * cell[0], sum(heights)), PAPER)
    for place, row in enumerate(rows):
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * cell[0], sum(heights[:place])))
    return sheet
