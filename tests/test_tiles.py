"""What an image is here: which files become a tile, and that pad, crop and masks lose nothing."""

import contextlib
import io
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tiles import (
    STRIDE,
    DecodeError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
    canvas_size,
    crop,
    decode_image,
    decode_mask,
    encode_mask_png,
    pad,
)
from tiles.operating_point import SCORE_PIXELS, OperatingPoint, score

MAX_PIXELS = 100_000

tiles_of_any_size = arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70)))
masks_of_any_size = arrays(np.bool_, st.tuples(st.integers(1, 70), st.integers(1, 70)))


def encoded(image, file_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def ramp(height=40, width=60):
    return np.arange(height * width).reshape(height, width).astype(np.uint8)


GREY = Image.fromarray(ramp())
COLOUR = Image.merge("RGB", (GREY, GREY.transpose(Image.Transpose.ROTATE_180), GREY))


@given(tile=tiles_of_any_size)
def test_a_png_is_decoded_to_the_very_same_greys(tile):
    np.testing.assert_array_equal(tile, decode_image(encoded(Image.fromarray(tile), "PNG"), max_pixels=MAX_PIXELS))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_png_of_every_8_bit_mode_becomes_its_luma(mode):
    image = COLOUR.convert(mode)
    expected = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(expected, decode_image(encoded(image, "PNG"), max_pixels=MAX_PIXELS))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_every_mode_keeps_its_size_and_nearly_its_luma(mode):
    image = Image.new("RGB", (60, 40), (200, 100, 50)).convert(mode)
    tile = decode_image(encoded(image, "JPEG", quality=95), max_pixels=MAX_PIXELS)
    assert (40, 60) == tile.shape
    np.testing.assert_allclose(tile, np.asarray(image.convert("L")), atol=3)


def test_a_16_bit_grey_keeps_its_upper_8_bits():
    deep = ramp().astype(np.uint16) * 256 + 37
    np.testing.assert_array_equal(ramp(), decode_image(encoded(Image.fromarray(deep), "PNG"), max_pixels=MAX_PIXELS))


@pytest.mark.parametrize("transparency", [3, bytes(range(16))])
def test_a_palette_with_transparency_reads_as_without(transparency):
    palette = COLOUR.quantize(16)
    plain = decode_image(encoded(palette, "PNG"), max_pixels=MAX_PIXELS)
    transparent = decode_image(encoded(palette, "PNG", transparency=transparency), max_pixels=MAX_PIXELS)
    np.testing.assert_array_equal(plain, transparent)


@pytest.mark.parametrize("data", [b"", b"tile", b"GIF89a", encoded(GREY, "GIF"), encoded(GREY, "WEBP")])
def test_what_is_no_image_that_is_read_is_refused_as_such(data):
    with pytest.raises(NotAnImageError, match="JPEG"):
        decode_image(data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("part", [0.4, 0.7, 0.9])
def test_a_truncated_image_is_refused_as_such(file_format, part):
    data = encoded(Image.effect_noise((60, 40), 40), file_format)
    with pytest.raises(TruncatedImageError, match="whole file"):
        decode_image(data[: int(part * len(data))], max_pixels=MAX_PIXELS)


def test_one_pixel_over_the_limit_is_refused_and_the_limit_itself_is_not():
    data = encoded(GREY, "PNG")
    assert (40, 60) == decode_image(data, max_pixels=2400).shape
    with pytest.raises(ImageTooLargeError, match="60 x 40 = 2400 pixels, but at most 2399"):
        decode_image(data, max_pixels=2399)


def test_a_bomb_is_refused_by_its_header_before_a_pixel_is_decoded():
    bomb = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    for side in (12_000, 30_000):  # Pillow itself warns of the first and refuses the second
        header = b"IHDR" + side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
        bomb[12:33] = header + zlib.crc32(header).to_bytes(4, "big")
        with pytest.raises(ImageTooLargeError):
            decode_image(bytes(bomb), max_pixels=MAX_PIXELS)


def test_a_bomb_in_a_text_chunk_is_never_inflated():
    text = PngInfo()
    text.add_text("comment", "x" * 2_000_000, zip=True)
    np.testing.assert_array_equal(
        ramp(), decode_image(encoded(GREY, "PNG", pnginfo=text), max_pixels=MAX_PIXELS, budget_s=0.02)
    )


SOURCES = [encoded(GREY, "PNG"), encoded(GREY, "JPEG"), encoded(COLOUR.quantize(16), "PNG", transparency=3)]


@given(source=st.sampled_from(SOURCES), changes=st.dictionaries(st.integers(0, 400), st.integers(0, 255), max_size=5))
def test_damage_anywhere_gives_a_tile_or_a_decode_error_and_nothing_else(source, changes):
    data = bytearray(source)
    for position, value in changes.items():
        data[position % len(data)] = value
    with contextlib.suppress(DecodeError):
        assert np.uint8 == decode_image(bytes(data), max_pixels=MAX_PIXELS).dtype


@given(tile=tiles_of_any_size)
def test_crop_undoes_pad(tile):
    height, width = tile.shape
    np.testing.assert_array_equal(tile, crop(pad(tile), height, width))


@given(tile=tiles_of_any_size)
def test_a_canvas_is_the_smallest_multiple_of_the_stride_and_repeats_the_edge(tile):
    height, width = tile.shape
    canvas = pad(tile)
    assert (1, *canvas_size(height, width)) == canvas.shape
    assert (0, 0) == (canvas.shape[1] % STRIDE, canvas.shape[2] % STRIDE)
    assert canvas.shape[1] - height < STRIDE
    assert canvas.shape[2] - width < STRIDE
    edges = ((0, canvas.shape[1] - height), (0, canvas.shape[2] - width))
    np.testing.assert_array_equal(np.pad(tile, edges, mode="edge"), canvas[0])


@given(mask=masks_of_any_size)
def test_a_mask_survives_its_png(mask):
    np.testing.assert_array_equal(mask, decode_mask(encode_mask_png(mask), above=127, max_pixels=MAX_PIXELS))


def test_a_mask_png_has_one_bit_a_pixel():
    assert "1" == Image.open(io.BytesIO(encode_mask_png(np.eye(9, dtype=bool)))).mode


def test_a_labelled_mask_is_defective_strictly_above_the_stated_grey():
    grey = np.array([[0, 1, 127, 128, 255]], dtype=np.uint8)
    expected = np.array([[False, False, False, True, True]])
    np.testing.assert_array_equal(expected, decode_mask(encoded(Image.fromarray(grey), "PNG"), above=127, max_pixels=9))


GREYS = st.one_of(st.sampled_from([0, 1, 254, 255]), st.integers(0, 255))
PROBABILITIES = arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 80)), elements=GREYS, fill=GREYS)
POINTS = st.builds(OperatingPoint, st.integers(1, 255), st.floats(0, 1))


def plain_score(probability):
    return round(float(np.sort(probability, axis=None)[-SCORE_PIXELS:].mean()) / 255, 4)


@given(probability=PROBABILITIES, point=POINTS)
@example(probability=np.arange(80, dtype=np.uint8)[np.newaxis], point=OperatingPoint(1, 0.0))  # no two are the same
def test_mask_and_score_are_those_of_the_plain_definition(probability, point):
    mask, found = point.mask_and_score(probability)
    assert plain_score(probability) == found == score(probability) == score(probability.ravel())
    expected = (probability >= point.threshold) & (plain_score(probability) >= point.alarm_score)
    np.testing.assert_array_equal(expected, mask)
    np.testing.assert_array_equal(expected, point.mask(probability))
    assert mask.dtype == bool


@given(probability=PROBABILITIES)
def test_the_score_of_a_crop_of_a_canvas_and_of_any_order_of_axes_is_the_same(probability):
    canvas = pad(probability)
    cropped = crop(canvas, *probability.shape)
    assert score(probability) == score(cropped) == score(probability.T) == score(probability[np.newaxis])


@given(probability=PROBABILITIES, margin=st.sampled_from([-0.0001, 0.0, 0.0001]))
def test_a_score_at_the_alarm_score_makes_an_image_defective(probability, margin):
    point = OperatingPoint(1, score(probability) + margin)
    assert (margin <= 0 and bool(probability.any())) is bool(point.mask(probability).any())
