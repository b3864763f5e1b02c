"""From a segmentation to an answer's bytes: every short cut gives what the plain way gives."""

import io
import json

import numpy as np
import orjson
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from proxy.answers import decide
from proxy.encoding import encode_json, encode_png
from tiles import decode_mask
from tiles.operating_point import OperatingPoint, score

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
MASKS = arrays.arrays(bool, SIZES)


@given(mask=MASKS)
def test_a_png_is_read_back_as_the_mask_in_one_bit_a_pixel(mask):
    data = encode_png(mask)
    with Image.open(io.BytesIO(data)) as image:
        assert ("PNG", "1", mask.shape[::-1]) == (image.format, image.mode, image.size)
    np.testing.assert_array_equal(mask, decode_mask(data, above=127, max_pixels=10**6))


@given(mask=MASKS)
def test_rows_in_json_are_byte_for_byte_what_a_json_library_writes(mask):
    written = b"[%b]" % encode_json(mask)
    assert orjson.dumps(mask.astype(int).tolist()) == written
    assert mask.astype(int).tolist() == json.loads(written)


GREYS = st.one_of(st.sampled_from([0, 1, 254, 255]), st.integers(0, 255))
PROBABILITIES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 80)), elements=GREYS, fill=GREYS)
POINTS = st.builds(OperatingPoint, st.integers(1, 255), st.floats(0, 1))


@given(probability=PROBABILITIES, point=POINTS)
@example(probability=np.arange(80, dtype=np.uint8)[np.newaxis], point=OperatingPoint(1, 0.0))  # no two are the same
def test_mask_and_score_are_those_of_the_operating_point(probability, point):
    mask, tile_score = decide(point, probability)
    np.testing.assert_array_equal(point.mask(probability), mask)
    assert score(probability) == tile_score
    assert mask.dtype == bool


@given(probability=PROBABILITIES, margin=st.sampled_from([-0.0001, 0.0, 0.0001]))
def test_a_score_at_the_alarm_score_decides_as_the_operating_point_does(probability, margin):
    point = OperatingPoint(1, score(probability) + margin)
    np.testing.assert_array_equal(point.mask(probability), decide(point, probability)[0])


def test_a_mask_that_is_part_of_a_larger_array_is_encoded_as_any_other():
    mask = (np.arange(60 * 70).reshape(60, 70) % 7 < 3)[5:45:2, 3:33]
    assert encode_png(mask.copy()) == encode_png(mask)
    assert encode_json(mask.copy()) == encode_json(mask)
