"""The published model repository: what the configurations say to Triton, and that all of it is replaced or nothing."""

import errno
import hashlib
import re
from pathlib import Path

import onnx
import pytest
from google.protobuf import json_format
from tiny_graph import tiny_graph
from training_data import ROOT, an_entry

from tiles import DEFECT_TYPES
from training.errors import ExportError
from training.files import CPU_CONFIG_FILE, CPU_GRAPH_FILE, GPU_CONFIG_FILES, GPU_GRAPH_FILE, MODEL_FOLDER
from training.graphs.repository import label, model_parameters, publish, render_config, render_gpu_configs
from training.graphs.signature import parse_config

PARAMETERS = {"model.threshold": "88", "model.types": "Blowhole,Break,Crack,Fray,Uneven"}
LABELLED = {**PARAMETERS, "model.digest": "d1ge57"}
QUALITY = {
    "operating_point": {"threshold": 88, "alarm_score": 0.52},
    "review_score": 0.25,
    "tiles": {"alarm_score": 0.31, "review_score": None},
    "novelty_limit": 2.5,
    "test": {
        "dice_pooled": 0.88812,
        "dice_type_mean": 0.7,
        "auroc": 0.97,
        "type_right_of_found": 0.94,
        "free": {"any_pixel_share": 0.0725},
    },
}
CONFIGURATION = {"commit": "c0ffee", "dirty": False, "data_digest": "d1ge57"}


def entries():
    """Three images, narrowest 103 x 380 and widest 500 x 222 pixels."""
    sizes = [(103, 380), (300, 330), (500, 222)]
    kept = [an_entry(str(place), "Free") for place in range(len(sizes))]
    return [
        type(entry)(**(vars(entry) | {"width": width, "height": height}))
        for entry, (width, height) in zip(kept, sizes, strict=True)
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export").mkdir()
    return tmp_path


def graph(path, **options):
    """A graph as it is published: with its proof."""
    onnx.save(tiny_graph(**options), path)
    label(path, PARAMETERS)
    return path


def gpu_configs():
    return {name: parse_config(text) for name, text in render_gpu_configs(LABELLED, 8, entries()).items()}


def test_the_parameters_tell_precision_operating_point_origin_and_figures():
    parameters = model_parameters(CONFIGURATION, DEFECT_TYPES, "int8", QUALITY)
    expected = {
        "model.precision": "int8",
        "model.threshold": "88",
        "model.alarm_score": "0.52",
        "model.review_score": "0.25",
        "model.tile_alarm_score": "0.31",
        "model.novelty_limit": "2.5",
        "model.commit": "c0ffee",
        "model.commit_dirty": "false",
        "model.data_digest": "d1ge57",
        "model.test.dice_pooled": "0.8881",
        "model.test.free_images_with_an_alarm": "0.0725",
    }
    assert expected.items() <= parameters.items()
    assert "model.tile_review_score" not in parameters  # there is no such limit


def test_a_leaky_test_is_called_so():
    leaky = {("test_leaky" if name == "test" else name): value for name, value in QUALITY.items()}
    names = model_parameters(CONFIGURATION, DEFECT_TYPES, "int8", leaky).keys()
    assert "model.test_leaky.dice_pooled" in names
    assert not [name for name in names if name.startswith("model.test.")]


def test_gpus_are_served_their_own_graph_with_the_same_signature():
    cpu = parse_config(render_config(PARAMETERS, 8))
    for config in gpu_configs().values():
        assert ("model.onnx", "model_gpu.onnx") == (cpu.default_model_filename, config.default_model_filename)
        assert (cpu.name, cpu.max_batch_size) == (config.name, config.max_batch_size)
        assert list(cpu.input) == list(config.input)
        assert list(cpu.output) == list(config.output)
        assert "KIND_GPU" == json_format.MessageToDict(config)["instanceGroup"][0]["kind"]
        assert "1" == config.parameters["cudnn_conv_algo_search"].string_value  # HEURISTIC


def test_tensorrt_is_optional_and_fixes_neither_sizes_nor_precision():
    configs = gpu_configs()
    assert not configs["gpu"].HasField("optimization")
    (accelerator,) = configs["tensorrt"].optimization.execution_accelerators.gpu_execution_accelerator
    assert "tensorrt" == accelerator.name
    assert "1" == accelerator.parameters["trt_engine_cache_enable"]
    assert [] == [name for name in accelerator.parameters if name.startswith(("trt_profile", "precision"))]


def test_tensorrts_engines_are_named_after_the_model_so_that_none_finds_those_of_another():
    published = parse_config((ROOT / "model_repository/segmenter/configs/tensorrt.pbtxt").read_text())
    for config in (gpu_configs()["tensorrt"], published):
        (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
        digest = config.parameters["model.digest"].string_value
        assert digest == accelerator.parameters["trt_engine_cache_prefix"] != ""


def test_tensorrts_engine_is_built_for_the_datasets_canvases_and_the_golden_image_before_a_request_comes():
    """Those of the entries: 384 x 128, 352 x 320 and 224 x 512, in batches of 1 to 8; the golden one: 128 x 128."""
    one, *ends = gpu_configs()["tensorrt"].model_warmup
    assert [*gpu_configs()["gpu"].model_warmup] == [one]
    assert [(1, [1, 128, 128]), (8, [1, 384, 512])] == [
        (each.batch_size, [*each.inputs["image"].dims]) for each in ends
    ]


def test_publishing_writes_graphs_and_configurations(folder):
    cpu, gpu = graph(folder / "export/int8.onnx"), graph(folder / "export/fp16.onnx", layers=2)
    configs = render_gpu_configs(LABELLED, 8, entries())
    publish(cpu, render_config(PARAMETERS, 8), gpu, configs)
    assert cpu.read_bytes() == CPU_GRAPH_FILE.read_bytes()
    assert gpu.read_bytes() == GPU_GRAPH_FILE.read_bytes()
    assert render_config(PARAMETERS, 8) == CPU_CONFIG_FILE.read_text()
    assert configs == {name: path.read_text() for name, path in GPU_CONFIG_FILES.items()}
    assert not [*folder.rglob("*.new")]


def test_nothing_is_replaced_where_the_disk_is_full_before_all_are_written(folder, monkeypatch):
    cpu, gpu = graph(folder / "export/int8.onnx"), graph(folder / "export/fp16.onnx", layers=2)
    configs = render_gpu_configs(LABELLED, 8, entries())
    publish(cpu, render_config(PARAMETERS, 8), gpu, configs)
    before = {path: path.read_bytes() for path in MODEL_FOLDER.rglob("*") if path.is_file()}
    write_bytes = Path.write_bytes

    def write_while_there_is_room(path, content):
        if path.name == f"{GPU_CONFIG_FILES['tensorrt'].name}.new":  # the last that is written
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_while_there_is_room)
    with pytest.raises(OSError, match="No space left"):
        publish(gpu, render_config(PARAMETERS, 4), cpu, configs)
    assert before == {path: path.read_bytes() for path in MODEL_FOLDER.rglob("*") if path.is_file()}


def test_nothing_is_replaced_where_one_of_them_has_another_signature(folder):
    cpu, gpu = graph(folder / "export/int8.onnx"), graph(folder / "export/fp16.onnx")
    configs = render_gpu_configs(LABELLED, 8, entries())
    broken = configs | {"tensorrt": configs["tensorrt"].replace('"probability"', '"chance"')}
    with pytest.raises(ExportError, match="output chance"):
        publish(cpu, render_config(PARAMETERS, 8), gpu, broken)
    assert not MODEL_FOLDER.exists()


def test_a_label_replaces_what_the_metadata_said_and_returns_what_the_configuration_says_besides(folder):
    path = graph(folder / "export/int8.onnx")
    for parameters in ({"model.threshold": "1", "model.old": "x"}, PARAMETERS):
        labelled = label(path, parameters)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert {*PARAMETERS, "model.digest"} == metadata.keys()
    assert metadata.items() <= labelled.items()
    assert {"model.sha256", "model.golden"} == labelled.keys() - metadata.keys()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == labelled["model.sha256"]


def test_the_published_configurations_say_the_sha256_of_their_graphs():
    for config in ("config.pbtxt", "configs/gpu.pbtxt", "configs/tensorrt.pbtxt"):
        told = parse_config((ROOT / "model_repository/segmenter" / config).read_text())
        graph = ROOT / "model_repository/segmenter/1" / told.default_model_filename
        assert hashlib.sha256(graph.read_bytes()).hexdigest() == told.parameters["model.sha256"].string_value
        metadata = {entry.key: entry.value for entry in onnx.load(graph).metadata_props}
        assert metadata.items() <= {name: value.string_value for name, value in told.parameters.items()}.items()


@pytest.mark.parametrize("name", ["model.onnx", "model_gpu.onnx"])
def test_no_published_graph_tells_where_it_was_made(name):
    content = (ROOT / "model_repository/segmenter/1" / name).read_bytes()
    assert not re.findall(rb"stack_trace|/[\w./-]+\.py\b|line \d+, in ", content)
