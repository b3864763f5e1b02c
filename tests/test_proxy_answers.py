"""From a segmentation to an answer's bytes."""

import dataclasses
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from proxy.answers import Analysis, describe_model, represent_json, represent_png, summarize
from proxy.segmenter import Segmentation
from proxy.served_model import ServedModel
from tiles import decode_mask
from tiles.operating_point import OperatingPoint

MODEL = ServedModel("segmenter", "1", None, "d1" * 32, OperatingPoint(128, 0.0), ("Crack", "Fray"))
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def analysis_of(mask):
    return Analysis(mask, 0.5, {"Crack": int(mask.sum()), "Fray": 0}, MODEL)


@given(mask=MASKS)
def test_pred_is_the_mask_as_rows_of_0_and_1(mask):
    body = represent_json(analysis_of(mask)).body
    assert mask.astype(int).tolist() == json.loads(body)["pred"]
    assert body.endswith(b'"pred":' + json.dumps(mask.astype(int).tolist(), separators=(",", ":")).encode() + b"}")


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"commit": "c0ffee"}, {"commit": "c0ffee"}),
        ({"commit": "c0ffee", "dirty": True}, {"commit": "c0ffee", "dirty": True}),
        ({}, {}),
    ],
)
def test_an_answer_tells_a_commit_and_whether_the_model_had_changes_beside_it(told, shown):
    assert {"name": "segmenter", "version": "1", **shown} == describe_model(dataclasses.replace(MODEL, **told))


@given(mask=MASKS)
def test_a_png_is_read_back_as_the_mask_in_one_bit_a_pixel(mask):
    data = represent_png(analysis_of(mask)).body
    with Image.open(io.BytesIO(data)) as image:
        assert ("PNG", "1", mask.shape[::-1]) == (image.format, image.mode, image.size)
    np.testing.assert_array_equal(mask, decode_mask(data, above=127, max_pixels=10**6))


def test_the_mask_of_a_padded_canvas_is_written_as_that_of_a_copy():
    canvas = (np.arange(64 * 96, dtype=np.uint32).reshape(1, 64, 96) * 37 % 256).astype(np.uint8)
    analysis = summarize(Segmentation(canvas, np.ones_like(canvas), MODEL), 50, 70)
    assert (canvas[0, :50, :70] >= 128).astype(int).tolist() == json.loads(represent_json(analysis).body)["pred"]
    assert represent_png(analysis_of(analysis.mask.copy())).body == represent_png(analysis).body
