"""Answer → mask and overlay as PNG files that carry the answer's figures as text.

Both are drawn here, because each view of the service costs another inference. The overlay is a PNG with a palette, the
image's greys and the colours of the drawing: a third of the bytes of red, green and blue.
"""

import io
from functools import cache
from typing import Any, NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFont

from client.analysis import Analysis, Defect
from client.mask import Mask
from client.png_text import png_text, with_text

GREYS = 254  # of the palette; the other two are:
CONTOUR, PAPER = 254, 255
PALETTE = [level for grey in range(GREYS) for level in (grey,) * 3] + [255, 120, 0, 20, 20, 20]
FONT_PIXELS = 13
LABELS = 50  # more would hide the image
DEFLATED = 1
GAP = 2  # pixels around a label
TO_EIGHT_BITS = 1 / 256
STORED = 0  # deflating a photograph saves a quarter of its bytes, and takes longer than all the rest


class Pictures(NamedTuple):
    """What is drawn of one answer, as PNG files.

    Attributes:
        mask: 1 bit a pixel, white where defective.
        overlay: the image with a contour around each defect, outside of it, and its type and score.
    """

    mask: bytes
    overlay: bytes


def draw_pictures(image: bytes, analysis: Analysis) -> Pictures:
    """Draw both.

    Raises: OSError or ValueError, if Pillow cannot read the image or reads another size.
    """
    text, mask = png_text(text_chunks(analysis)), _mask_image(analysis.mask)
    black_and_white = mask.convert("1", dither=Image.Dither.NONE)
    overlay = _overlay(image, analysis, mask)
    return Pictures(_png(black_and_white, text, level=DEFLATED), _png(overlay, text, level=STORED))


def _overlay(image: bytes, analysis: Analysis, mask: Image.Image) -> Image.Image:
    grey = _read_grey(image)
    if grey.size != mask.size:
        raise ValueError(f"the image has {grey.size} pixels here, {mask.size} at the service")
    picture = ImageChops.darker(grey, Image.new("L", grey.size, GREYS - 1))
    picture.putpalette(PALETTE)
    if analysis.defects:
        _draw_contours(picture, analysis, mask)
        draw = ImageDraw.Draw(picture)
        for defect in reversed(analysis.defects[:LABELS]):  # the surest on top
            _label(draw, picture.size, defect)
    return picture


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
        "Familiar": "unknown" if analysis.familiar is None else analysis.familiar,
        "Novelty": analysis.novelty,
        "Warnings": ",".join(each.code for each in analysis.warnings) or None,
        "Part": analysis.part,
        "Model": f"{model.name}/{model.version}",
        "Model-Sha256": model.sha256,
        "Model-Commit": model.commit,
        "Model-Dirty": model.dirty,
        "Model-Data": model.data,
    }
    return {key: _written(value) for key, value in figures.items() if value is not None}


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _png(picture: Image.Image, text: bytes, *, level: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=level)
    return with_text(buffer.getvalue(), text)


def _mask_image(mask: Mask) -> Image.Image:
    """Return the mask as a grey image, 255 where defective."""
    turned = Image.frombytes("L", (mask.height, mask.width), mask.columns(defective=b"\xff"))
    return turned.transpose(Image.Transpose.TRANSPOSE)


def _read_grey(data: bytes) -> Image.Image:
    """Read an image as the service does: as stored, without an EXIF orientation, the upper 8 bits of 16."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", image.size)
        if image.mode.startswith("I"):
            return image.convert("I").point(_upper_bits).convert("L")
        return image.convert("L")


def _upper_bits(level: Any) -> Any:
    """Scale 16 bits to 8; Pillow applies it to all pixels at once."""
    return level * TO_EIGHT_BITS


def _draw_contours(picture: Image.Image, analysis: Analysis, mask: Image.Image) -> None:
    """Colour the sound pixels that touch a defective one; only around the defects, which saves most of the time."""
    left, top = (min(getattr(each.box, side) for each in analysis.defects) for side in ("x", "y"))
    right = max(each.box.x + each.box.width for each in analysis.defects)
    bottom = max(each.box.y + each.box.height for each in analysis.defects)
    defects = mask.crop((left, top, right, bottom))
    picture.paste(CONTOUR, (left - 1, top - 1), _surroundings(defects))


def _surroundings(mask: Image.Image) -> Image.Image:
    """Return the sound pixels that touch a defective one, as 255, in an image larger by one pixel on each side."""
    wide = Image.new("L", (mask.width + 2, mask.height + 2))
    wide.paste(mask, (1, 1))
    inside = wide
    for step in ((1, 0), (0, 1)):
        back = (-step[0], -step[1])
        shifted = ImageChops.lighter(ImageChops.offset(wide, *step), ImageChops.offset(wide, *back))
        wide = ImageChops.lighter(wide, shifted)
    return ImageChops.subtract(wide, inside)


def _label(draw: ImageDraw.ImageDraw, size: tuple[int, int], defect: Defect) -> None:
    """Write `Blowhole 0.97` above the defect, or below it where there is no room above; within the image."""
    text, box = f"{defect.type} {defect.score:.2f}", defect.box
    _, _, right, bottom = _font().getbbox(text)
    width, height = int(right) + 2 * GAP, int(bottom) + 2 * GAP
    left = max(0, min(box.x, size[0] - width))
    above, below = box.y - height - 1, box.y + box.height + 1
    top = above if above >= 0 else max(0, min(below, size[1] - height))
    draw.rectangle((left, top, left + width - 1, top + height - 1), fill=PAPER)
    draw.text((left + GAP, top + GAP), text, fill=CONTOUR, font=_font())


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_PIXELS)
