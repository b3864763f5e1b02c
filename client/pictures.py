"""Answer → mask and overlay as PNG files that carry the answer's figures as text.

Both are drawn here, because each view of the service costs another inference. The overlay is a PNG with a palette, the
image's greys and the colours of the drawing: a third of the bytes of red, green and blue.
"""

import io
from functools import cache
from typing import Any, NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFont

from client.analysis import Analysis, Defect
from client.bmp_file import BMP_SIGNATURE, plain_bmp
from client.mask import Mask
from client.outcomes import written
from client.png_file import mask_png, palette_png, png_text
from client.tiff_file import TIFF_SIGNATURES, plain_tiff

GREYS = 254  # of the palette; the other two are:
CONTOUR, PAPER = 254, 255
PALETTE = bytes([level for grey in range(GREYS) for level in (grey,) * 3] + [255, 120, 0, 20, 20, 20])
FREE = [min(level, GREYS - 1) for level in range(256)]  # of the other two
FONT_PIXELS = 13
LABELS = 50  # more would hide the image
GAP = 2  # pixels around a label
TO_EIGHT_BITS = 1 / 256


class Pictures(NamedTuple):
    """What is drawn of one answer, as PNG files.

    Attributes:
        mask: 1 bit a pixel, white where defective.
        overlay: the image with a contour around each defect, outside of it, and its type and score.
    """

    mask: bytes
    overlay: bytes


class Patch(NamedTuple):
    """The smallest part of a mask with all defects in it, grey, 255 where defective; and its place."""

    pixels: Image.Image
    left: int
    top: int


def draw_pictures(image: bytes, analysis: Analysis) -> Pictures:
    """Draw both.

    Raises: one of `errors.DAMAGED`, if Pillow cannot read the image or reads another size.
    """
    text, patch, size = png_text(text_chunks(analysis)), _patch(analysis.mask), (analysis.width, analysis.height)
    overlay = _overlay_rows(image, analysis, patch)
    return Pictures(mask_png(size, _mask_rows(size, patch), text), palette_png(size, overlay, text, PALETTE))


def text_chunks(analysis: Analysis) -> dict[str, str]:
    """Return the figures that a picture carries: those of the service's PNG headers, without `Tile-`."""
    model = analysis.model
    figures = {
        "Verdict": analysis.verdict,
        "Defective": analysis.defective,
        "Defect-Pixels": analysis.defect_pixels,
        "Defects": len(analysis.defects),
        "Score": analysis.score,
        "Alarm-Score": analysis.alarm_score,
        "Threshold": analysis.threshold,
        "Type": analysis.type or "none",
        "Familiar": analysis.familiar,
        "Novelty": analysis.novelty,
        "Warnings": ",".join(each.code for each in analysis.warnings) or None,
        "Part": analysis.part,
        "Model": f"{model.name}/{model.version}",
        "Model-Sha256": model.sha256,
        "Model-Commit": model.commit,
        "Model-Dirty": model.dirty,
        "Model-Data": model.data,
    }
    return {key: written(value) for key, value in figures.items() if value is not None}


def _patch(mask: Mask) -> Patch | None:
    """Return the part of a mask that has defects; None if it has none."""
    *before, behind = mask.counts if len(mask.counts) % 2 else (*mask.counts, 0)
    if not before:
        return None
    left, right = before[0] // mask.height, mask.width - behind // mask.height
    columns = mask.columns(defective=b"\xff")[left * mask.height : right * mask.height]
    turned = Image.frombytes("L", (mask.height, right - left), columns)
    pixels = turned.transpose(Image.Transpose.TRANSPOSE)
    box = pixels.getbbox()
    return None if box is None else Patch(pixels.crop(box), left + box[0], box[1])


def _mask_rows(size: tuple[int, int], patch: Patch | None) -> bytes:
    """Return the mask as PNG has it: before each row one byte, which is zero."""
    width, height = size
    row_bytes = 1 + -(-width // 8)
    if patch is None:
        return bytes(height * row_bytes)
    black_and_white = patch.pixels.convert("1", dither=Image.Dither.NONE)
    rows = black_and_white.crop((-patch.left - 8, 0, width - patch.left, patch.pixels.height))
    below = height - patch.top - patch.pixels.height
    return b"".join([bytes(patch.top * row_bytes), rows.tobytes(), bytes(below * row_bytes)])


def _overlay_rows(image: bytes, analysis: Analysis, patch: Patch | None) -> bytes:
    """Return the overlay as PNG has it: before each row one byte, which is zero."""
    picture = _read_grey(image).point(FREE)
    width, height = picture.size
    if (width, height) != (analysis.width, analysis.height):
        raise ValueError(f"the image has {width} x {height} pixels here, {analysis.width} x {analysis.height} there")
    if patch is not None:
        picture.paste(CONTOUR, (patch.left - 1, patch.top - 1), _surroundings(patch.pixels))
    for defect in reversed(analysis.defects[:LABELS]):  # the surest on top
        _label(picture, defect)
    return picture.crop((-1, 0, width, height)).tobytes()


def _read_grey(data: bytes) -> Image.Image:
    """Read an image as the service does: as stored, without an EXIF orientation, the upper 8 bits of 16."""
    white_is_zero = False
    if data.startswith(TIFF_SIGNATURES):
        data, white_is_zero = plain_tiff(data)
    elif data.startswith(BMP_SIGNATURE):
        data = plain_bmp(data)
    with Image.open(io.BytesIO(data)) as image:
        image.info.pop("xmp", None)  # Pillow would turn a TIFF as it says
        image.draft("L", image.size)
        if image.mode.startswith("I"):
            grey = image.convert("I").point(_upper_bits).convert("L")
        else:
            image.load()
            grey = image if image.mode == "L" else image.convert("L")
    return ImageChops.invert(grey) if white_is_zero else grey


def _upper_bits(level: Any) -> Any:
    """Scale 16 bits to 8; Pillow applies it to all pixels at once."""
    return level * TO_EIGHT_BITS


def _surroundings(mask: Image.Image) -> Image.Image:
    """Return the sound pixels that touch a defective one, as 255, in an image larger by one pixel on each side."""
    width, height = mask.width + 2, mask.height + 2
    inside = mask.crop((-1, -1, width - 1, height - 1))
    wide = inside
    for right, down in ((1, 0), (0, 1)):
        shifted = (wide.crop((x, y, x + width, y + height)) for x, y in ((right, down), (-right, -down)))
        wide = ImageChops.lighter(wide, ImageChops.lighter(*shifted))
    return ImageChops.subtract(wide, inside)


def _label(picture: Image.Image, defect: Defect) -> None:
    """Write `Blowhole 0.97` above the defect, or below it where there is no room above; within the image."""
    box, words = defect.box, [_written_word(f"{defect.type} "), _written_word(f"{defect.score:.2f}")]
    width, height = sum(word.width for word in words) + 2 * GAP, max(word.height for word in words) + 2 * GAP
    left = max(0, min(box.x, picture.width - width))
    above, below = box.y - height - 1, box.y + box.height + 1
    top = above if above >= 0 else max(0, min(below, picture.height - height))
    picture.paste(PAPER, (left, top, left + width, top + height))
    for word in words:
        picture.paste(word, (left + GAP, top + GAP))
        left += word.width


@cache  # of each type and of each score: drawing letters takes longer than all the rest of a label
def _written_word(word: str) -> Image.Image:
    size = (round(_font().getlength(word)), int(_font().getbbox(word)[3]))
    picture = Image.new("L", size, PAPER)
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1"  # no greys between paper and letters
    draw.text((0, 0), word, fill=CONTOUR, font=_font())
    return picture


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(FONT_PIXELS)
    except TypeError:  # before Pillow 10.1 it has one size
        return ImageFont.load_default()
