"""Masks and overlays: what is drawn, over what the service sees of a file."""

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from client.analysis import read_analysis
from client.pictures import CONTOUR, PAPER, draw_pictures
from tests.contract_service import DARK, MODEL, answer, defective, png, sound
from tiles import decode_image


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
