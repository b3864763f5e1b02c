"""The files that people have: what each becomes in grey, what is warned of, and what is refused with what to do."""

import io
import struct
import zlib

import numpy as np
import pytest
from crafted import bmp_of_indices, chunk, jpeg, png, scan, segment, tiff
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from proxy_servers import encoded, texture

import tiles
from tiles.errors import DecodeError, NotAnImageError, TruncatedImageError, UnsupportedModeError
from tiles.png import ADAM7

GREY = texture(60, 50)
COLOUR = np.stack([GREY, np.roll(GREY, 9, 0), np.roll(GREY, 9, 1)], axis=2)
WIDE = GREY.astype(np.uint16) * 257
MAX_PIXELS = 10**6


def read(data, **options):
    return tiles.read_image(data, max_pixels=MAX_PIXELS, **options)


def codes(data):
    return [remark.code for remark in read(data).remarks]


def luma(image):
    return np.asarray(Image.fromarray(image).convert("L"))


PIXELS = {"grey": (GREY, GREY), "16 bits": (WIDE, GREY), "colour": (COLOUR, luma(COLOUR))}


@pytest.mark.parametrize(("pixels", "expected"), PIXELS.values(), ids=PIXELS)
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_a_tiff_file_is_read_as_it_was_written(pixels, expected, compression, predictor):
    more = {"tiffinfo": {317: predictor}} if compression else {}
    data = encoded(Image.fromarray(pixels), "TIFF", compression=compression, **more)
    np.testing.assert_array_equal(expected, read(data).image)
    assert tiles.Size(60, 50) == tiles.declared_size(data)


@pytest.mark.parametrize("rows", [1, 7, 64, 200])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_a_tiff_file_of_any_number_of_strips_is_read(rows, compression):
    data = encoded(Image.fromarray(texture(100, 90)), "TIFF", compression=compression, tiffinfo={278: rows})
    np.testing.assert_array_equal(texture(100, 90), read(data).image)


def test_a_tiff_file_of_the_other_byte_order_is_read():
    rows = [GREY.astype(">u2") * 257]
    tags = [(256, 50), (257, 60), (258, 16), (259, 1), (262, 1), (273, 134), (277, 1), (278, 60), (279, 6000)]
    head = struct.pack(">2sHIH", b"MM", 42, 8, len(tags))
    written = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    data = (head + written + bytes(4)).ljust(134, b"\0") + rows[0].tobytes()
    np.testing.assert_array_equal(GREY, read(data).image)


def test_an_inverted_tiff_file_and_one_with_transparency_are_read():
    data = encoded(Image.fromarray(COLOUR).convert("RGBA"), "TIFF")
    np.testing.assert_array_equal(luma(COLOUR), read(data).image)
    plain = encoded(Image.fromarray(GREY), "TIFF")
    photometric = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert photometric in plain
    inverted = plain.replace(photometric, struct.pack("<HHIHH", 262, 3, 1, 0, 0))
    np.testing.assert_array_equal(255 - GREY, read(inverted).image)


@pytest.mark.parametrize(("mode", "expected"), [("L", GREY), ("RGB", luma(COLOUR)), ("RGBA", luma(COLOUR))])
def test_a_bmp_file_is_read_as_it_was_written(mode, expected):
    image = Image.fromarray(GREY if mode == "L" else COLOUR).convert(mode)
    data = encoded(image, "BMP")
    np.testing.assert_array_equal(expected, read(data).image)
    assert tiles.Size(60, 50) == tiles.declared_size(data[:60])


def test_a_bmp_file_from_top_to_bottom_and_one_with_a_newer_header_are_read():
    data = encoded(Image.fromarray(GREY), "BMP")
    flipped = data[:22] + struct.pack("<i", -60) + data[26:]
    np.testing.assert_array_equal(GREY[::-1], read(flipped).image)
    newer = data[:10] + struct.pack("<II", int.from_bytes(data[10:14], "little") + 84, 124) + data[18:54] + bytes(84)
    np.testing.assert_array_equal(GREY, read(newer + data[54:]).image)


@pytest.mark.parametrize("palette", [[0, 255], [255, 0], [9], [0, 80, 255], range(255, -1, -1)], ids=len)
def test_a_bmp_file_with_a_palette_of_any_length_is_read_as_it_was_written(palette):
    indices = GREY.astype(int) % len(palette)
    np.testing.assert_array_equal(np.array(palette)[indices], read(bmp_of_indices(indices, palette)).image)


def test_a_tiff_file_with_the_bits_of_each_byte_reversed_is_refused():
    plain = tiff(60, 50, [GREY.tobytes()], more=[(266, 3, 1)])
    np.testing.assert_array_equal(GREY, read(plain).image)
    with pytest.raises(UnsupportedModeError, match=r"the bits of each byte in reverse: .*magick photo\.tif"):
        read(tiff(60, 50, [GREY.tobytes()], more=[(266, 3, 2)]))


def test_a_tiff_file_with_a_strip_larger_than_pillow_opens_is_refused_with_the_mend():
    data = tiff(8192, 8192, [b"\x80\0"], samples=3, compression=5)
    with pytest.raises(UnsupportedModeError, match="a strip of 201326592 bytes of pixels: "):
        tiles.read_image(data, max_pixels=2**26)


def test_a_tiff_file_with_a_predictor_and_without_compression_is_refused():
    with pytest.raises(UnsupportedModeError, match=r"compression 1 with predictor 2: .*magick photo\.tif"):
        read(tiff(60, 50, [GREY.tobytes()], predictor=2))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"\x0c\0\x3c\0\x32\x01", "12 bits a channel and 1 channels"),
        (b"\x08\0\x3c\0\x32\x02", "8 bits .* and 2 channels"),
    ],
)
def test_a_jpeg_file_of_another_kind_of_pixel_is_called_so_and_not_damaged(header, expected):
    components = b"\x01\x11\0\x02\x11\0"[: 3 * header[5]]
    data = jpeg(segment(0xC1, header + components), scan(b"", 1))
    for look in (read, tiles.declared_size):
        with pytest.raises(UnsupportedModeError, match=f"{expected}: save it with 8 bits"):
            look(data)


CONVERTED = {
    "webp": encoded(Image.fromarray(GREY), "WEBP"),
    "gif": encoded(Image.fromarray(GREY), "GIF"),
    "avif": encoded(Image.fromarray(GREY), "AVIF"),
    "jp2": encoded(Image.fromarray(GREY), "JPEG2000"),
    "bmp": encoded(Image.fromarray(GREY).convert("1"), "BMP"),
    "tif": encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
    "tif of a palette": encoded(Image.fromarray(GREY).convert("P"), "TIFF"),
    "tif of a rare compression": encoded(Image.fromarray(GREY), "TIFF", compression="packbits"),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_a_file_that_is_not_read_is_refused_with_a_command_that_converts_it(name):
    with pytest.raises((NotAnImageError, UnsupportedModeError), match=rf"magick photo\.{name.split()[0]} .*photo\.png"):
        read(CONVERTED[name])


PNG = encoded(Image.fromarray(GREY), "PNG")
PALETTE_PNG = encoded(Image.fromarray(GREY % 16).convert("P"), "PNG")
PALETTE = PALETTE_PNG[PALETTE_PNG.index(b"PLTE") - 4 : PALETTE_PNG.index(b"IDAT") - 4]


def packed(*rows):
    """A PNG's compressed rows, each without a filter."""
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))


def of_passes(image):
    """The rows of an interlaced PNG in their order."""
    return [row for left, top, across, down in ADAM7 for row in image[top::down, left::across] if row.size]


LIGHT = GREY | 1  # no black pixel
COLOURS = chunk(b"PLTE", bytes(3 * [200]) + bytes(3 * 255))  # the first is no black
ROWS = {
    "grey": (LIGHT, {}, list(LIGHT)),
    "16 bits": (LIGHT, {"bits": 16}, list(np.stack([LIGHT, LIGHT], axis=2))),
    "colour": (LIGHT, {"colour": 2}, list(np.repeat(LIGHT[..., np.newaxis], 3, axis=2))),
    "a palette": (np.zeros_like(LIGHT), {"colour": 3, "before": COLOURS}, list(LIGHT)),
    "interlaced": (LIGHT, {"interlaced": 1}, of_passes(LIGHT)),
    "interlaced, of an odd height": (LIGHT[:59], {"interlaced": 1}, of_passes(LIGHT[:59])),
    "interlaced, of one row": (LIGHT[:1], {"interlaced": 1}, of_passes(LIGHT[:1])),
}


@pytest.mark.parametrize(("image", "options", "rows"), ROWS.values(), ids=ROWS)
def test_a_png_whose_compressed_rows_end_early_is_called_damaged(image, options, rows):
    np.testing.assert_array_equal(image, read(png(*image.shape, pixels=packed(*rows), **options)).image)
    for there in (1, len(rows) // 2, len(rows) - 1):
        for behind in (b"", bytes(100_000)):
            with pytest.raises(TruncatedImageError, match="bytes of its pixels are missing"):
                read(png(*image.shape, pixels=packed(*rows[:there]) + behind, **options))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (50, 1), (1, 60), (50, 60), (700, 600)])
def test_a_png_that_is_black_to_its_end_is_read(mode, size):
    assert size[::-1] == read(encoded(Image.new(mode, size), "PNG")).image.shape


DAMAGED = {
    "a png whose line ends were changed": PNG.replace(b"\r\n", b"\n"),
    "a png without its first byte": PNG[1:],
    "a png of another first byte": b"x" + PNG[1:],
    "the start of a png": PNG[:6],
    "a png without a header": PNG[:8] + PNG[33:],
    "a png of zeros": PNG[:8] + bytes(500),
    "a png of a wrong colour type": PNG[:25] + b"\x09" + PNG[26:],
    "a png without its palette": PALETTE_PNG.replace(PALETTE, b""),
    "a png with more colours than 8 bits can name": PALETTE_PNG.replace(PALETTE, chunk(b"PLTE", bytes(3 * 257))),
    "a png with fewer colours than its pixels name": PALETTE_PNG.replace(PALETTE, chunk(b"PLTE", bytes(3 * 15))),
    "a png of another checksum": PNG[:-13] + bytes((PNG[-13] ^ 1,)) + PNG[-12:],
    "a jpeg of two bytes": b"\xff\xd8",
    "a jpeg without a marker": b"\xff\xd8" + bytes(99),
    "a tiff that breaks off": encoded(Image.fromarray(GREY), "TIFF")[:-40],
    "a compressed tiff that breaks off": encoded(Image.fromarray(GREY), "TIFF", compression="tiff_lzw")[:100],
    "a bmp with fewer colours than its pixels name": bmp_of_indices(GREY % 16, range(15)),
    "a bmp that breaks off": encoded(Image.fromarray(GREY), "BMP")[:-40],
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_called_damaged(data):
    with pytest.raises(TruncatedImageError, match="damaged"):
        read(data)


PHOTOGRAPH = texture(200, 180)
WHOLE = {
    "a jpeg of quality 98": encoded(Image.fromarray(PHOTOGRAPH), "JPEG", quality=98),
    "a jpeg of quality 100": encoded(Image.fromarray(PHOTOGRAPH), "JPEG", quality=100),
    "a png": encoded(Image.fromarray(PHOTOGRAPH), "PNG"),
    "a tiff": tiff(200, 180, [zlib.compress(PHOTOGRAPH.tobytes())], compression=8),
    "a tiff of several strips": tiff(
        200, 180, [zlib.compress(rows.tobytes()) for rows in np.split(PHOTOGRAPH, 4)], compression=8, rows=50
    ),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.97])
def test_a_file_of_the_right_size_whose_end_was_never_copied_is_called_damaged(data, part):
    there = int(part * len(data))
    with pytest.raises(TruncatedImageError, match="damaged"):
        read(data[:there] + bytes(len(data) - there))
    assert PHOTOGRAPH.shape == read(data).image.shape


def test_a_deflated_strip_may_have_more_rows_than_the_image():
    strip = zlib.compress(np.pad(GREY, ((0, 9), (0, 0))).tobytes())
    np.testing.assert_array_equal(GREY, read(tiff(60, 50, [strip], compression=8)).image)


@given(
    start=st.sampled_from([
        encoded(Image.fromarray(pixels[:20, :20]), form, **options)
        for pixels in (GREY, COLOUR, WIDE)
        for form, options in (("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
                              ("TIFF", {"compression": "tiff_adobe_deflate"}), ("BMP", {}))
        if not (form == "BMP" and pixels is WIDE)
    ]),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6), end=st.integers(0, 2000),
)  # fmt: skip
def test_a_file_with_any_bytes_changed_is_an_image_or_a_decode_error(start, changes, end):
    data = bytearray(start)
    for place, value in changes:
        data[place % len(data)] = value
    try:
        size = tiles.declared_size(bytes(data[:end]))
        image = read(bytes(data), budget_s=1).image
    except DecodeError:
        return
    assert size in (None, image.shape)


def test_12_bit_values_in_a_16_bit_file_are_warned_of():
    for form in ("PNG", "TIFF"):
        assert ["dark-16-bit"] == codes(encoded(Image.fromarray(GREY.astype(np.uint16) * 16), form))
        assert [] == codes(encoded(Image.fromarray(WIDE), form))
    assert [] == codes(encoded(Image.fromarray(np.zeros((9, 9), np.uint16)), "PNG"))
    for levels, expected in ((GREY.astype(np.uint16) * 16, ["dark-16-bit"]), (WIDE, [])):
        rows = np.repeat(levels[..., np.newaxis], 3, axis=2).astype(">u2")  # RGB, which Pillow cannot write
        pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
        assert expected == codes(png(*levels.shape, bits=16, colour=2, pixels=pixels))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [0, 1, 3, 6, 9])
def test_an_exif_orientation_is_warned_of_and_not_applied(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(GREY), form, exif=exif)
    assert (["exif-orientation"] if orientation in (3, 6) else []) == codes(data)
    assert GREY.shape == read(data).image.shape


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_file_of_several_pages_is_warned_of_and_gives_its_first(compression):
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    data = encoded(pages[0], "TIFF", compression=compression, save_all=True, append_images=pages[1:])
    assert ["several-pages"] == codes(data)
    np.testing.assert_array_equal(GREY, read(data).image)


def test_broken_exif_data_are_no_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(GREY), "JPEG", exif=exif)
    at = data.index(b"Exif\0\0") + 6
    for broken in (data[:at] + b"XX" + data[at + 2 :], data[: at + 4] + b"\xff\xff\xff\xff" + data[at + 8 :]):
        assert [] == codes(broken)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("JPEG", {}),
        ("JPEG", {"subsampling": 0}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"keep_rgb": True}),
    ],
)
def test_a_colour_image_is_warned_of_and_a_grey_one_of_three_channels_is_not(form, options):
    vivid = COLOUR.copy()
    vivid[:30, :, 0] //= 2
    assert ["colour"] == codes(encoded(Image.fromarray(vivid), form, **options))
    assert [] == codes(encoded(Image.fromarray(GREY).convert("RGB"), form, **options))


@pytest.mark.parametrize(
    ("form", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("BMP", "P"), ("BMP", "RGB"), ("JPEG", "CMYK"), ("PNG", "LA")]
)
def test_colour_is_warned_of_however_it_is_stored(form, mode):
    vivid = COLOUR.copy()
    vivid[:30, :, 0] //= 2
    assert (["colour"] if mode != "LA" else []) == codes(encoded(Image.fromarray(vivid).convert(mode), form))
    assert [] == codes(encoded(Image.fromarray(GREY).convert(mode), form))


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}, {"keep_rgb": True}])
def test_a_colour_jpegs_grey_values_are_those_that_libjpeg_gives(options):
    data = encoded(Image.fromarray(COLOUR), "JPEG", **options)
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", image.size)
        np.testing.assert_array_equal(np.asarray(image.convert("L")), read(data).image)
