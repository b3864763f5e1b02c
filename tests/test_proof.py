"""Fingerprint, label and golden image: one law in numpy and in graphs of every precision, and damage that shows."""

import math

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import numpy_helper
from tiny_graph import tiny_graph
from training_data import ROOT

from tiles.fingerprint import PRIMES, RUN, SUMS, fingerprint, weights
from tiles.golden import TOLERANCE, deviation, golden_answer, golden_canvas
from tiles.label import LABEL_BYTES, LABELLED, decode_label, encode_label
from training.errors import ExportError
from training.graphs.proof import with_proof
from training.graphs.quantization import to_fp16
from training.graphs.session import open_session
from training.graphs.signature import parse_config

PARAMETERS = {"model.threshold": "64", "model.alarm_score": "0.5", "model.types": "Crack", "model.commit": "c0ffee"}
IMAGES = arrays.arrays(
    np.uint8, st.tuples(st.just(1), st.just(1), st.sampled_from([32, 64]), st.sampled_from([32, 96]))
)
PUBLISHED = ROOT / "model_repository/segmenter"


def sums_of(images):
    """The images' own part of a fingerprint."""
    nothing = np.zeros_like(images)
    return fingerprint(images, nothing, nothing)[:, : images[0].size // RUN]


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_the_sums_are_those_of_whole_numbers():
    images = random_images(2, 1, 64, 96)
    runs = images.reshape(2, -1, RUN).astype(object)
    expected = [[[sum(run * column) for column in weights().T.astype(object)] for run in image] for image in runs]
    assert expected == sums_of(images).tolist()


@given(image=IMAGES, data=st.data())
def test_one_changed_pixel_changes_the_fingerprint(image, data):
    other = image.copy()
    place = tuple(data.draw(st.integers(0, size - 1)) for size in image.shape)
    other[place] ^= data.draw(st.integers(1, 255))
    assert (sums_of(image) != sums_of(other)).any()


CHANGES = {
    "turned upside down": lambda image: image[:, :, ::-1],
    "mirrored": lambda image: image[..., ::-1],
    "transposed": lambda image: image.swapaxes(2, 3),
    "moved by a pixel": lambda image: np.roll(image, 1, axis=3),
    "moved by a row": lambda image: np.roll(image, 1, axis=2),
    "two rows exchanged": lambda image: image[:, :, [1, 0, *range(2, 64)]],
    "two runs exchanged": lambda image: image[:, :, [*range(16, 32), *range(16), *range(32, 64)]],
    "another image": lambda image: random_images(*image.shape, seed=1),
    "darker": lambda image: image // 2,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_arrangement_of_the_same_pixels_has_another_fingerprint(change):
    image = random_images(1, 1, 64, 64)
    assert (sums_of(image) != sums_of(np.ascontiguousarray(change(image)))).any()


@pytest.mark.parametrize("place", range(3))
def test_another_image_probability_or_type_has_another_fingerprint(place):
    planes = [random_images(1, 1, 64, 64, seed=seed) for seed in range(3)]
    others = [random_images(1, 1, 64, 64, seed=3) if number == place else plane for number, plane in enumerate(planes)]
    assert (fingerprint(*planes) != fingerprint(*others)).any()


def test_ten_thousand_images_have_ten_thousand_fingerprints():
    images = random_images(10_000, 1, 32, 32)
    assert 10_000 == len(np.unique(sums_of(images)[:, 0], axis=0))


def test_a_batch_has_the_fingerprints_of_its_images():
    images = random_images(3, 1, 32, 64)
    singles = np.concatenate([sums_of(image[np.newaxis]) for image in images])
    np.testing.assert_array_equal(singles, sums_of(images))


def test_the_largest_sum_is_exact_in_float32():
    white = sums_of(np.full((1, 1, 32, 32), 255, np.uint8))[0, 0]
    assert (255 * weights().astype(int).sum(axis=0)).tolist() == white.tolist()
    assert RUN * 255 * max(PRIMES) < 2**24


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """Proven graphs: tiny ones made here, and those that are published."""
    folder = tmp_path_factory.mktemp("graphs")
    made = {"float32": folder / "fp32.onnx", "fp16": folder / "fp16.onnx"}
    onnx.save(tiny_graph(), made["float32"])
    to_fp16(made["float32"], made["fp16"])
    for path in made.values():
        proven, _ = with_proof(onnx.load(path), PARAMETERS)
        onnx.save(proven, path)
    return made | {"published int8": PUBLISHED / "1/model.onnx", "published fp16": PUBLISHED / "1/model_gpu.onnx"}


def answers_of(path, images):
    session = open_session(path, threads=1)
    return dict(
        zip(["probability", "type", "fingerprint", "model"], session.run(
            ["probability", "type", "fingerprint", "model"], {"image": images}
        ), strict=True)
    )  # fmt: skip


@pytest.mark.parametrize("name", ["float32", "fp16", "published int8", "published fp16"])
@pytest.mark.parametrize(
    "images",
    [random_images(2, 1, 64, 96), np.full((1, 1, 96, 32), 255, np.uint8), np.zeros((3, 1, 32, 32), np.uint8)],
    ids=["noise", "white", "black"],
)
def test_the_graph_computes_the_same_integers_as_numpy(graphs, name, images):
    answer = answers_of(graphs[name], images)
    expected = fingerprint(images, answer["probability"], answer["type"])
    assert (len(images), 3 * images[0].size // RUN, SUMS) == answer["fingerprint"].shape
    np.testing.assert_array_equal(expected, answer["fingerprint"])


@pytest.mark.parametrize("shape", [(1, 1, 32, 4096), (1, 1, 4096, 32), (1, 1, 1024, 1056)])
def test_long_and_large_images_have_the_same_integers_too(graphs, shape):
    images = random_images(*shape)
    answer = answers_of(graphs["float32"], images)
    np.testing.assert_array_equal(fingerprint(images, answer["probability"], answer["type"]), answer["fingerprint"])


def test_torch_computes_the_same_integers():
    torch = pytest.importorskip("torch")
    images = random_images(2, 1, 64, 96)
    sums = torch.from_numpy(images).reshape(2, -1, RUN).double() @ torch.from_numpy(weights()).double()
    np.testing.assert_array_equal(sums.int().numpy(), sums_of(images))


def test_a_proven_graph_segments_as_before_and_is_proven_again_to_the_same_bytes():
    graph = tiny_graph()
    proven, parameters = with_proof(graph, PARAMETERS)
    again, same = with_proof(proven, PARAMETERS)
    onnx.checker.check_model(proven, full_check=True)
    assert (parameters, proven.SerializeToString()) == (same, again.SerializeToString())
    images = random_images(2, 1, 64, 32)
    sessions = [onnxruntime.InferenceSession(each.SerializeToString()) for each in (graph, proven)]
    before, after = (each.run(["probability", "type"], {"image": images}) for each in sessions)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_image_of_a_batch_brings_the_label_and_a_change_gives_another_digest(graphs):
    answer = answers_of(graphs["float32"], random_images(3, 1, 32, 32))
    said = [decode_label(label.tobytes()) for label in answer["model"]]
    assert PARAMETERS.items() <= said[0].items()
    assert 3 * [said[0]] == said
    digests = {
        with_proof(tiny_graph(slope=slope), PARAMETERS | changed)[1]["model.digest"]
        for slope in (20.0, 21.0)
        for changed in ({}, {"model.threshold": "65"})
    }
    assert 4 == len(digests)
    assert said[0]["model.digest"] in digests


def test_a_label_is_read_back_and_one_that_is_too_long_is_refused():
    parameters = dict.fromkeys(LABELLED, "é") | {"model.note": "stays out"}
    label = encode_label(parameters)
    assert (LABEL_BYTES,) == label.shape
    assert dict.fromkeys(LABELLED, "é") == decode_label(label.tobytes())
    with pytest.raises(ExportError, match=f"at most {LABEL_BYTES} bytes"):
        with_proof(tiny_graph(), PARAMETERS | {"model.types": "x" * LABEL_BYTES})


@pytest.mark.parametrize("label", [b"", b"\0" * LABEL_BYTES, b"[1]", b'{"model.threshold": 64}', b"\xff"])
def test_bytes_that_are_no_label_are_refused(label):
    with pytest.raises(ValueError):  # noqa: PT011  json's, unicode's or ours
        decode_label(label)


def test_the_published_models_answer_the_golden_image_as_their_configurations_say():
    for graph, config in (("model.onnx", "config.pbtxt"), ("model_gpu.onnx", "configs/gpu.pbtxt")):
        stated = parse_config((PUBLISHED / config).read_text()).parameters["model.golden"].string_value
        answer = answers_of(PUBLISHED / "1" / graph, golden_canvas()[np.newaxis])
        assert TOLERANCE >= deviation(answer["probability"][0], stated)
        assert deviation(np.zeros_like(answer["probability"][0]), stated) > 4 * TOLERANCE, "an empty answer must show"


def test_a_nan_in_one_scale_of_the_published_model_shows_in_the_golden_answer():
    graph = onnx.load(PUBLISHED / "1/model.onnx")
    stated = parse_config((PUBLISHED / "config.pbtxt").read_text()).parameters["model.golden"].string_value
    damaged = 0
    scales = [each for each in graph.graph.initializer if each.name.endswith("_scale") and math.prod(each.dims) == 1]
    for scale in scales[:: max(1, len(scales) // 8)]:
        kept = scale.SerializeToString()
        scale.CopyFrom(numpy_helper.from_array(np.full(list(scale.dims), np.nan, np.float32), scale.name))
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        (probability,) = session.run(["probability"], {"image": golden_canvas()[np.newaxis]})
        damaged += deviation(probability[0], stated) > TOLERANCE
        scale.ParseFromString(kept)
    assert damaged >= 7, "of eight scales"


def test_a_golden_answer_tells_the_blocks_and_a_text_that_is_none_is_refused():
    probability = np.zeros((1, 128, 128), np.uint8)
    probability[0, :16, :16] = 200
    stated = golden_answer(probability)
    assert "c8" + 63 * "00" == stated
    assert 0 == deviation(probability, stated)
    probability[0, :16, :8] = 0
    assert 100 == deviation(probability, stated)
    for text in ("c8", "xyz"):
        with pytest.raises(ValueError):  # noqa: PT011  of bytes.fromhex, or ours
            deviation(probability, text)
