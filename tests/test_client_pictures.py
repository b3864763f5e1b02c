"""Masks and overlays: what is drawn, over what the service sees of a file."""

import dataclasses
import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageFont

from client.analysis import read_analysis
from client.files import write_whole
from client.pictures import CONTOUR, PAPER, _font, _written_word, draw_pictures
from tests.contract_service import DARK, MODEL, answer, defective, png, sound
from tests.crafted import bmp_of_indices
from tiles import decode_image

ORIENTATION, XMP = 274, 700


def _analysis(pixels):
    return read_analysis(answer(pixels, MODEL, {}))


def test_a_contour_runs_around_the_defect_and_covers_none_of_it():
    pixels = defective(height=80, width=120)
    analysis = _analysis(pixels)

    overlay = np.asarray(Image.open(io.BytesIO(draw_pictures(png(pixels), analysis).overlay)))

    mask = pixels < DARK
    wide = np.pad(mask, 1)
    near = np.max([wide[row : row + 80, column : column + 120] for row in range(3) for column in range(3)], axis=0)
    label = 10  # its first row
    assert (near & ~mask)[:label].tolist() == (overlay == CONTOUR)[:label].tolist()
    assert pixels[mask].tolist() == overlay[mask].tolist()
    assert PAPER in overlay[label:]


@given(mask=arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=20)))
def test_mask_and_contour_are_exact_for_any_mask(mask):
    height, width = mask.shape
    pixels = np.where(mask, 10, 150).astype(np.uint8)
    analysis = dataclasses.replace(_analysis(pixels), defects=())  # no label hides anything

    drawn = draw_pictures(png(pixels), analysis)

    wide = np.pad(mask, 1)
    near = np.max([wide[row : row + height, left : left + width] for row in range(3) for left in range(3)], axis=0)
    assert mask.tolist() == np.asarray(Image.open(io.BytesIO(drawn.mask))).tolist()
    overlay = np.where(near & ~mask, CONTOUR, pixels)
    assert overlay.tolist() == np.asarray(Image.open(io.BytesIO(drawn.overlay))).tolist()


def test_an_overlay_of_many_blocks_is_whole():
    pixels = np.random.default_rng(0).integers(100, 200, (400, 500), np.uint8)

    overlay = Image.open(io.BytesIO(draw_pictures(png(pixels), _analysis(pixels)).overlay))

    assert pixels.tolist() == np.asarray(overlay).tolist()


@pytest.mark.parametrize("mode", ["RGB", "LA", "P", "1", "CMYK", "I;16"])
def test_an_overlay_shows_what_the_service_sees_of_any_image(mode):
    grey = Image.fromarray(sound())
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) << 8) if mode == "I;16" else grey.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG" if mode == "CMYK" else "PNG")

    overlay = Image.open(io.BytesIO(draw_pictures(buffer.getvalue(), _analysis(sound())).overlay))

    seen = np.asarray(overlay.convert("L")).astype(int)
    expected = decode_image(buffer.getvalue(), max_pixels=10_000)
    assert np.abs(np.minimum(expected, 253) - seen).max() <= 1


def tiff(pixels, order, *, bits, white_is_zero, orientation):
    """A plain TIFF of one strip. Shapes: pixels (H, W) or (H, W, 3) uint8; `order`: < or >."""
    stored = pixels.astype(np.uint16) * (257 if bits == 16 else 1)
    rows = (2**bits - 1 - stored if white_is_zero else stored).astype(f"{order}u{bits // 8}").tobytes()
    height, width, samples = *pixels.shape[:2], pixels[0, 0].size
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 2 if samples == 3 else 1 - white_is_zero,
            273: 8 + 2 + 12 * 10 + 4, ORIENTATION: orientation, 277: samples, 278: height, 279: len(rows)}  # fmt: skip
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4) + rows


@pytest.mark.parametrize("orientation", range(1, 10))
@pytest.mark.parametrize("kind", ["black is zero", "white is zero", "colours"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_overlay_of_a_tiff_shows_it_as_it_is_stored(order, bits, kind, orientation):
    pixels = np.repeat(sound()[..., None], 3, 2) if kind == "colours" else sound()
    data = tiff(pixels, order, bits=bits, white_is_zero=kind == "white is zero", orientation=orientation)
    expected = decode_image(data, max_pixels=10_000)
    assert sound().tolist() == expected.tolist()

    overlay = Image.open(io.BytesIO(draw_pictures(data, _analysis(expected)).overlay)).convert("L")

    assert np.abs(expected.astype(int) - np.asarray(overlay)).max() <= 1


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_no_orientation_of_a_tiffs_metadata_turns_an_overlay(compression):
    buffer = io.BytesIO()
    tags = {XMP: b'<rdf:Description tiff:Orientation="6"/>'} | ({} if compression == "raw" else {ORIENTATION: 8})
    Image.fromarray(sound()).save(buffer, format="TIFF", compression=compression, tiffinfo=tags)

    overlay = Image.open(io.BytesIO(draw_pictures(buffer.getvalue(), _analysis(sound())).overlay))

    assert sound().tolist() == np.asarray(overlay).tolist()


@pytest.mark.parametrize("palette", [[0, 255], [255, 0], [9], [0, 80, 255], range(256)], ids=len)
def test_an_overlay_of_a_bmp_shows_what_the_service_sees_whatever_its_palette(palette):
    data = bmp_of_indices(sound().astype(int) % len(palette), palette)
    expected = decode_image(data, max_pixels=10_000)

    overlay = Image.open(io.BytesIO(draw_pictures(data, _analysis(sound())).overlay)).convert("L")

    assert np.abs(np.minimum(expected, 253).astype(int) - np.asarray(overlay)).max() <= 1


@pytest.mark.parametrize("rest", [b"", b"\xff" * 8, b"\x08\0\0\0\xff\xff"])
def test_a_damaged_tiff_is_no_picture(rest):
    with pytest.raises((OSError, ValueError)):
        draw_pictures(b"II*\0" + rest, _analysis(sound()))


def test_labels_are_written_where_pillow_has_one_size_of_letters(monkeypatch):
    letters = ImageFont.load_default()
    monkeypatch.setattr(ImageFont, "load_default", lambda: letters)  # as before Pillow 10.1
    pixels = defective(height=80, width=120)
    analysis = _analysis(pixels)
    forget_letters()

    overlay = draw_pictures(png(pixels), analysis).overlay

    forget_letters()
    assert PAPER in np.asarray(Image.open(io.BytesIO(overlay)))


def forget_letters():
    _font.cache_clear()
    _written_word.cache_clear()


def test_a_file_that_cannot_be_put_in_its_place_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "a.png").mkdir()

    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "a.png", b"content")

    assert [tmp_path / "a.png"] == list(tmp_path.iterdir())
