"""From a segmentation to an answer's bytes."""

import dataclasses
import io
import json
from itertools import pairwise
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pycocotools import mask as coco
from scipy import ndimage

from proxy.analysis import UNCHANGED, PointOverride, summarize
from proxy.answers import in_header, represent_json, represent_png
from proxy.png_chunks import add_texts, black_png
from proxy.report import Report, describe_model
from proxy.segmentation import Segmentation
from proxy.served_model import ServedModel
from tiles import decode_mask, pad
from tiles.operating_point import OperatingPoint, level_of, probability_of, score, verdict_of

MODEL = ServedModel(
    name="segmenter",
    version="1",
    digest="d1" * 32,
    operating_point=OperatingPoint(128, 0.0),
    tile_alarm_score=0.5,
    novelty_limit=10.0,
    defect_types=("Crack", "Fray"),
)
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))
PLANES = st.tuples(st.integers(1, 30), st.integers(1, 30)).flatmap(
    lambda shape: st.tuples(arrays.arrays(np.uint8, shape), arrays.arrays(np.uint8, shape, elements=st.integers(1, 2)))
)


def report_of(probability, defect_type=None, model=MODEL, override=UNCHANGED, novelty=1.0, **more):
    """What the proxy makes of these planes (H, W)."""
    types = np.ones_like(probability) if defect_type is None else defect_type
    segmentation = Segmentation(pad(probability), pad(types), np.array([novelty], np.float32), model)
    return Report(summarize(segmentation, *probability.shape, override), 255 - probability, **more)


def report_of_mask(mask, **more):
    return report_of(np.where(mask, 200, 0).astype(np.uint8), **more)


def answer_of(report, mask="rows"):
    return json.loads(represent_json(report, mask).body)


@given(mask=MASKS)
def test_pred_is_the_mask_as_rows_of_0_and_1_and_the_last_key(mask):
    body = represent_json(report_of_mask(mask), "rows").body
    assert mask.astype(int).tolist() == json.loads(body)["pred"]
    assert body.endswith(b'"pred":' + json.dumps(mask.astype(int).tolist(), separators=(",", ":")).encode() + b"}")


@given(mask=MASKS)
def test_each_connected_region_is_one_defect_with_a_tight_box_its_area_and_its_middle(mask):
    answer = answer_of(report_of_mask(mask), "none")
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    expected = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        y, x = np.nonzero(labels == number)
        box = {"x": columns.start, "y": rows.start, "width": len(x) and columns.stop - columns.start,
               "height": rows.stop - rows.start}  # fmt: skip
        expected.append((box, len(x), round(x.mean(), 1), round(y.mean(), 1)))
    found = [(each["box"], each["area"], each["centroid"]["x"], each["centroid"]["y"]) for each in answer["defects"]]
    order = lambda each: sorted(each[0].items())  # noqa: E731
    for one, other in zip(sorted(expected, key=order), sorted(found, key=order), strict=True):
        assert one[:2] == other[:2]
        assert pytest.approx(one[2:], abs=0.051) == other[2:]
    assert count == len(found)
    assert answer["defect_pixels"] == sum(each["area"] for each in answer["defects"])


@given(planes=PLANES, level=st.integers(1, 255))
def test_a_defects_score_and_type_are_those_of_its_pixels_and_the_highest_score_comes_first(planes, level):
    probability, defect_type = planes
    model = dataclasses.replace(MODEL, operating_point=OperatingPoint(level, 0.0))
    answer = answer_of(report_of(probability, defect_type, model), "none")
    labels, count = ndimage.label(probability >= level, np.ones((3, 3)))
    expected = []
    for number in range(1, count + 1):
        inside = labels == number
        y, x = np.nonzero(inside)
        kind = MODEL.defect_types[int(np.bincount(defect_type[inside], minlength=3)[1:].argmax())]
        expected.append((-score(probability[inside]), -len(x), int(y.min()), int(x.min()), kind))
    found = [(-e["score"], -e["area"], e["box"]["y"], e["box"]["x"], e["type"]) for e in answer["defects"]]
    by_place = [sorted(each, key=lambda one: (one[2:4], one)) for each in (expected, found)]
    for one, other in zip(*by_place, strict=True):
        assert one[1:] == other[1:]
        assert pytest.approx(one[0], abs=1.01e-4) == other[0]
    assert found == sorted(found, key=lambda each: each[:4])


@pytest.mark.parametrize("shape", [(1, 70_000), (70_000, 1)])
def test_a_long_image_has_its_defects_where_they_are(shape):
    mask = np.zeros(shape, bool)
    mask.ravel()[[0, 69_998, 69_999]] = True
    boxes = sorted(max(e["box"]["x"], e["box"]["y"]) for e in answer_of(report_of_mask(mask), "none")["defects"])
    assert [0, 69_998] == boxes


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@given(mask=MASKS)
def test_pycocotools_reads_both_run_lengths_as_the_mask(mask):
    answer = answer_of(report_of_mask(mask), "rle")
    for given_size in (answer["rle"]["size"], answer["rle_string"]["size"]):
        assert list(mask.shape) == given_size
    np.testing.assert_array_equal(mask, coco.decode(answer["rle_string"]).astype(bool))
    from_counts = coco.frPyObjects(answer["rle"], *mask.shape)
    np.testing.assert_array_equal(mask, coco.decode(from_counts).astype(bool))
    assert mask.size == sum(answer["rle"]["counts"])


def inside(line, shape):
    """The pixels whose centres are inside a closed line, by the even-odd rule."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    result = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in pairwise(line):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            result ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return result


@given(mask=MASKS)
def test_a_pixel_is_in_the_mask_if_its_centre_is_in_an_outline_and_in_no_hole_of_it(mask):
    answer = answer_of(report_of_mask(mask), "polygons")
    assert len(answer["defects"]) == len(answer["polygons"])
    found = np.zeros(mask.shape, bool)
    for defect, polygon in zip(answer["defects"], answer["polygons"], strict=True):
        region = inside(polygon["outer"], mask.shape)
        for hole in polygon["holes"]:
            region &= ~inside(hole, mask.shape)
        assert defect["area"] == region.sum()
        found |= region
        points = np.array(polygon["outer"])
        box = defect["box"]
        assert [box["x"], box["y"]] == points.min(axis=0).tolist()
        assert [box["x"] + box["width"], box["y"] + box["height"]] == points.max(axis=0).tolist()
    np.testing.assert_array_equal(mask, found)


def test_no_mask_is_a_short_answer():
    report = report_of_mask(np.zeros((269, 218), bool))
    assert not {"pred", "rle", "polygons"} & answer_of(report, "none").keys()
    assert len(represent_json(report, "none").body) < 1000
    assert [] == answer_of(report, "polygons")["polygons"]


@given(probability=arrays.arrays(np.uint8, (9, 11)), threshold=st.floats(0, 1))
def test_with_an_alarm_score_of_0_the_mask_is_the_probability_at_the_threshold(probability, threshold):
    report = report_of(probability, override=PointOverride(threshold, 0.0))
    picture = Image.open(io.BytesIO(represent_png(report, "probability").body))
    assert ("L", (11, 9)) == (picture.mode, picture.size)
    expected = np.asarray(picture) / 255 >= threshold
    np.testing.assert_array_equal(expected, np.asarray(answer_of(report)["pred"], bool))
    assert threshold == answer_of(report)["threshold"]


@pytest.mark.parametrize("level", range(1, 256))
def test_the_models_own_threshold_as_it_is_shown_gives_its_own_mask(level):
    assert level == level_of(probability_of(level))
    assert round(probability_of(level), 4) == probability_of(level)


def test_an_answer_says_what_was_used_and_what_the_models_default_is():
    report = report_of(np.full((4, 4), 100, np.uint8), override=PointOverride(0.3, 0.9))
    answer = answer_of(report)
    assert (0.3, 0.9, "ok", False) == tuple(answer[key] for key in ("threshold", "alarm_score", "verdict", "defective"))
    assert (0.5019, 0.0) == (answer["model"]["threshold"], answer["model"]["alarm_score"])


@pytest.mark.parametrize(
    ("found", "review", "verdict"),
    [(0.9, None, "defect"), (0.89, None, "ok"), (0.89, 0.4, "review"), (0.4, 0.4, "review"), (0.39, 0.4, "ok")],
)
def test_a_verdict_is_by_the_two_limits_that_a_model_has(found, review, verdict):
    assert verdict == verdict_of(found, 0.9, review)


def test_an_image_that_reaches_the_alarm_score_is_defective_and_has_the_verdict_defect():
    for level, expected in ((229, "ok"), (230, "defect")):
        model = dataclasses.replace(MODEL, operating_point=OperatingPoint(128, 0.9))
        answer = answer_of(report_of(np.full((9, 9), level, np.uint8), model=model), "none")
        assert (expected, expected == "defect") == (answer["verdict"], answer["defective"])


@pytest.mark.parametrize(
    ("novelty", "shown", "familiar"), [(10.0, 10.0, True), (10.5, 10.5, False), (float("nan"), None, False)]
)
def test_an_image_is_familiar_up_to_the_models_limit_and_otherwise_warned_of(novelty, shown, familiar):
    answer = answer_of(report_of_mask(np.zeros((9, 9), bool), novelty=novelty), "none")
    assert (shown, familiar) == (answer["novelty"], answer["familiar"])
    assert ([] if familiar else ["unfamiliar"]) == [each["code"] for each in answer["warnings"]]


def test_an_answer_tells_which_model_gave_it():
    told = {"commit": "c0ffee", "data": "da7a", "dirty": True, "review_score": 0.4, "title": "Castings"}
    model = dataclasses.replace(MODEL, operating_point=OperatingPoint(64, 0.5), **told)
    expected = {
        "name": "segmenter", "version": "1", "sha256": "5" * 64, "commit": "c0ffee", "dirty": True, "data": "da7a",
        "threshold": 0.2509, "alarm_score": 0.5, "review_score": 0.4, "tile_alarm_score": 0.5,
        "novelty_limit": 10.0, "title": "Castings", "types": ("Crack", "Fray"),
    }  # fmt: skip
    assert expected == describe_model(model, "5" * 64)
    unknown = describe_model(MODEL, None)
    assert [None, None, None, False] == [unknown[key] for key in ("sha256", "commit", "data", "dirty")]


@given(mask=MASKS)
def test_a_png_is_read_back_as_the_mask_in_one_bit_a_pixel(mask):
    data = represent_png(report_of_mask(mask), "mask").body
    with Image.open(io.BytesIO(data)) as image:
        assert ("PNG", "1", mask.shape[::-1]) == (image.format, image.mode, image.size)
    np.testing.assert_array_equal(mask, decode_mask(data, above=127, max_pixels=10**6))


@given(height=st.integers(1, 700), width=st.integers(1, 700))
def test_an_empty_mask_is_the_file_that_pillow_writes(height, width):
    written = io.BytesIO()
    Image.fromarray(np.zeros((height, width), bool)).save(written, "PNG")
    assert written.getvalue() == black_png(height, width)


def test_texts_in_a_png_stand_where_pillow_puts_them():
    texts = {"Verdict": "defect", "Part": "Teil 4 ü", "Score": "0.4902"}
    info, plain, pillows = PngInfo(), io.BytesIO(), io.BytesIO()
    info.add_text("Verdict", texts["Verdict"])
    info.add_itxt("Part", texts["Part"])
    info.add_text("Score", texts["Score"])
    Image.fromarray(np.eye(20, dtype=bool)).save(plain, "PNG")
    Image.fromarray(np.eye(20, dtype=bool)).save(pillows, "PNG", pnginfo=info)
    assert pillows.getvalue() == add_texts(plain.getvalue(), texts)


def test_a_png_carries_the_figures_of_its_headers_as_texts():
    model = dataclasses.replace(MODEL, commit="c0ffee", data="da7a")
    report = report_of_mask(np.eye(20, dtype=bool), model=model, part="Teil 4 ü", sha256="5" * 64)
    body, headers = represent_png(report, "mask")
    with Image.open(io.BytesIO(body)) as image:
        texts = dict(image.text)
    assert "Teil 4 ü" == texts.pop("Part") == unquote(headers.pop("Tile-Part"))
    assert {name.removeprefix("Tile-"): value for name, value in headers.items()} == texts
    assert {
        "Verdict": "defect", "Defective": "true", "Defect-Pixels": "20", "Defects": "1", "Score": "0.4902",
        "Alarm-Score": "0.0", "Threshold": "0.5019", "Type": "Crack", "Familiar": "true", "Novelty": "1.0",
        "Model": "segmenter/1", "Model-Sha256": "5" * 64, "Model-Commit": "c0ffee", "Model-Dirty": "false",
        "Model-Data": "da7a",
    } == texts  # fmt: skip


@pytest.mark.parametrize("part", ["A-17", "a b", " a ", "100%", "%41", "ü", "日本", '"quoted"; x=1'])
def test_a_part_in_a_header_is_read_back_whatever_it_is(part):
    assert part == unquote(in_header(part))
    assert in_header(part).isascii()
    assert in_header(part) == in_header(part).strip()
    if part in ("A-17", "a b"):
        assert part == in_header(part)


def test_an_overlay_shows_the_image_with_a_line_around_each_defect_that_leaves_the_defect_visible():
    mask = np.zeros((100, 120), bool)
    mask[60:70, 50:64] = True
    report = report_of_mask(mask)
    with Image.open(io.BytesIO(represent_png(report, "overlay").body)) as image:
        assert ("RGB", (120, 100)) == (image.mode, image.size)
        pixels = np.asarray(image).astype(int)
    np.testing.assert_array_equal(np.repeat(report.image[mask][:, None], 3, axis=1), pixels[mask])
    around = ndimage.binary_dilation(mask, np.ones((3, 3))) & ~mask
    assert ((255, 120, 0) == pixels[around]).all()
    coloured = (pixels.max(axis=2) != pixels.min(axis=2)) & ~around
    rows, _ = np.nonzero(coloured)
    assert rows.max() < 60, "the label stands above the defect"
    assert coloured.sum() > 50
    np.testing.assert_array_equal(pixels[80:, :, 0], report.image[80:])


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (300, 5), (40, 40)])
def test_an_overlay_of_any_size_is_as_large_as_the_image(shape):
    with Image.open(io.BytesIO(represent_png(report_of_mask(np.ones(shape, bool)), "overlay").body)) as image:
        assert shape[::-1] == image.size


def test_the_mask_of_a_padded_canvas_is_written_as_that_of_a_copy():
    probability = (np.arange(50 * 70, dtype=np.uint32).reshape(50, 70) * 37 % 256).astype(np.uint8)
    report = report_of(probability)
    assert (probability >= 128).astype(int).tolist() == answer_of(report)["pred"]
    copy = dataclasses.replace(report.analysis, mask=report.analysis.mask.copy())
    copied = dataclasses.replace(report, analysis=copy)
    assert represent_png(copied, "mask").body == represent_png(report, "mask").body
