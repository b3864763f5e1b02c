"""The stage quantize: which precision the repository serves, and that the others stay to be measured."""

import json
import re

import onnx
import pytest
import torch
from tiny_graph import tiny_graph
from training_data import params_with, sample_names, write_knobs, write_project

from tiles import DEFECT_TYPES
from training.errors import ExportError
from training.files import CPU_CONFIG_FILE, CPU_GRAPH_FILE, MODEL_FOLDER
from training.graphs import precisions
from training.graphs.checked import keep_graph
from training.graphs.signature import parse_config
from training.network.segmenter import build_network
from training.network.weights import save_model
from training.stages import quantize

TYPES = (*DEFECT_TYPES, "Free")
PARTS = {
    "train": [sample_names(name)[0] for name in TYPES],
    "validation": [sample_names(name)[1] for name in ("Blowhole", "Crack", "Free")],
    "test": [sample_names(name)[2] for name in ("Uneven", "Crack", "Free")],
}
# The tiny graph finds hardly anything on real images, and what it computes is too little to gain time.
KNOBS = {
    "train__encoder_weights": None,
    "quantize__excluded_nodes": [],
    "quantize__calibration_images": 4,
    "quantize__timed_images": 2,
    "quantize__min_speed_up": 0.001,
    "quantize__max_dice_loss": 1.0,
    "quantize__max_dice_loss_of_type": 1.0,
    "quantize__min_dice_pooled": 0.0,
    "quantize__min_auroc": 0.0,
    "quantize__skip_served_parity": "it has tests of its own",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_project(folder, PARTS, **KNOBS)
        torch.manual_seed(0)
        params = params_with(**KNOBS)
        save_model(
            build_network(params.train),
            {"train": params.train.model_dump(), "commit": "c0ffee", "dirty": False, "data_digest": "d1ge57"},
        )
        (folder / "export").mkdir()
        onnx.save(tiny_graph(layers=2), folder / "made.onnx")
        keep_graph(folder / "made.onnx")
    return folder


@pytest.fixture
def project(made, monkeypatch):
    monkeypatch.chdir(made)
    monkeypatch.setattr(quantize, "check_packages", dict)  # tested by itself
    return made


def run(project, **knobs):
    write_knobs(project / "params.yaml", **KNOBS | knobs)
    quantize.main()
    return json.loads((project / "export/precisions.json").read_text())


def served_precision():
    graph = onnx.load(CPU_GRAPH_FILE)
    config = parse_config(CPU_CONFIG_FILE.read_text())
    told = config.parameters["model.precision"].string_value
    assert {"model.precision": told}.items() <= {e.key: e.value for e in graph.metadata_props}.items()
    return told


def test_int8_is_served_where_it_keeps_within_the_limits(project):
    found = run(project)
    assert {"cpu": "int8", "gpu": "fp16"} == found["served"]
    assert "int8" == served_precision()


def test_each_precision_serves_its_own_operating_point(project):
    found = run(project)
    config = parse_config(CPU_CONFIG_FILE.read_text())
    point = found["int8"]["operating_point"]
    assert str(point["threshold"]) == config.parameters["model.threshold"].string_value
    assert str(point["alarm_score"]) == config.parameters["model.alarm_score"].string_value


@pytest.mark.parametrize(
    ("knobs", "reason"),
    [
        ({"quantize__min_speed_up": 1000.0}, r"int8 is not served: it is only \S+ times as fast; at least 1000"),
        ({"quantize__max_dice_loss": 0.0, "quantize__max_dice_loss_of_type": 0.0}, r"int8 is not served: Dice of"),
    ],
    ids=["too slow", "too far from fp32"],
)
def test_float32_is_served_with_the_reason_where_int8_goes_over_a_limit(project, capsys, monkeypatch, knobs, reason):
    monkeypatch.setattr(precisions, "losses", lambda *_: {"all": 0.5, "Crack": 0.5})  # some loss, whatever the machine
    found = run(project, **knobs)
    assert "fp32" == found["served"]["cpu"]
    assert "fp32" == served_precision()
    assert found["int8"]["refused"]
    assert re.search(reason, capsys.readouterr().out)


def test_what_triton_answered_stands_beside_the_figures_of_the_served_precision(project):
    found = run(project, quantize__skip_served_parity=None)
    assert {"images": len(PARTS["test"]), "differing_images": 0} == found["int8"]["triton"]
    assert "triton" not in found["fp32"]


def test_a_skipped_check_is_recorded_in_figures_and_model(project):
    found = run(project)
    config = parse_config(CPU_CONFIG_FILE.read_text())
    assert {"skipped": KNOBS["quantize__skip_served_parity"]} == found["int8"]["triton"]
    assert KNOBS["quantize__skip_served_parity"] == config.parameters["model.served_parity_skipped"].string_value


def test_float32_is_served_where_params_say_so(project):
    found = run(project, quantize__serve="fp32")
    assert ("fp32", []) == (found["served"]["cpu"], found["int8"]["refused"])
    assert "fp32" == served_precision()


def test_a_failure_leaves_the_repository_as_it_was(project):
    run(project)
    before = {path: path.read_bytes() for path in MODEL_FOLDER.rglob("*") if path.is_file()}
    with pytest.raises(ExportError):
        run(project, quantize__excluded_nodes=["nothing"])
    assert before == {path: path.read_bytes() for path in MODEL_FOLDER.rglob("*") if path.is_file()}
    assert {"fp32.onnx", "fp32.sha256", "precisions.json"} == {path.name for path in (project / "export").iterdir()}
