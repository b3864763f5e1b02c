"""What is published is what Triton serves: a real Triton is asked for every test image before."""

import onnx
import pytest
from tiny_graph import tiny_graph
from training_data import params_with, real_sample, sample_names

from tiles import DEFECT_TYPES
from training.errors import ExportError
from training.graphs import served_parity
from training.graphs.repository import label, render_config
from training.graphs.served_parity import check_served_parity, told_of_skipping

SAMPLES = [real_sample(sample_names(name)[0]) for name in ("Blowhole", "Uneven", "Free")]
TOLD = {"model.threshold": "64", "model.alarm_score": "0.5", "model.types": ",".join(DEFECT_TYPES)}


@pytest.fixture
def served(tmp_path):
    """A graph and its configuration, as they are published."""
    path = tmp_path / "int8.onnx"
    onnx.save(tiny_graph(), path)
    return path, render_config(label(path, TOLD), 8)


def check(served, **knobs):
    params = params_with(**{f"quantize__{name}": value for name, value in knobs.items()})
    return check_served_parity(*served, SAMPLES, params.quantize)


def test_triton_gives_the_bytes_of_onnx_runtime_on_every_test_image(served):
    assert {"images": 3, "differing_images": 0} == check(served)


def test_a_model_of_which_triton_gives_other_masks_is_refused_with_their_number(served, tmp_path, monkeypatch):
    other = tmp_path / "other.onnx"
    onnx.save(tiny_graph(slope=10.0), other)
    expected = served_parity.open_session(other)
    monkeypatch.setattr(served_parity, "open_session", lambda _: expected)
    with pytest.raises(ExportError, match=r"Triton's masks of 3 of 3 test images are not those of ONNX Runtime"):
        check(served)


def test_a_model_that_triton_refuses_is_refused_with_its_reason(served):
    graph, config = served
    with pytest.raises(ExportError, match=r"Triton did not start: segmenter: model\.onnx is damaged"):
        check(
            (
                graph,
                config.replace('"model.sha256" value: { string_value: "', '"model.sha256" value: { string_value: "0'),
            )
        )


def test_without_the_serving_environment_the_error_says_how_to_get_it_and_how_to_skip(served, monkeypatch):
    monkeypatch.setenv("SERVING_PYTHON", "/nowhere/python")
    with pytest.raises(ExportError, match=r"make setup.*SERVING_PYTHON.*quantize\.skip_served_parity"):
        check(served)


def test_the_check_is_skipped_only_with_a_reason_and_the_model_tells_it(served, monkeypatch, capsys):
    monkeypatch.setenv("SERVING_PYTHON", "/nowhere/python")
    reason = "no Triton on this laptop"
    assert {"skipped": reason} == check(served, skip_served_parity=reason)
    assert reason in capsys.readouterr().out
    knobs = params_with(quantize__skip_served_parity=reason).quantize
    assert {"model.served_parity_skipped": reason} == told_of_skipping(knobs)
    assert {} == told_of_skipping(params_with().quantize)
