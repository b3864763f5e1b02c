"""The published model repository: graphs, config.pbtxt for CPUs, configs/*.pbtxt for GPUs.

A graph's metadata and the parameters of its configuration are equal: what the model is, where it comes from, and how
good it is.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from string import Template
from typing import Any

import onnx

from host.files import replacing
from tiles.canvas import canvas_size
from tiles.fingerprint import SUMS
from tiles.golden import SIDE, golden_answer, golden_canvas
from tiles.label import LABEL_BYTES
from training.dataset.index import Entry
from training.evaluation.flat import tested_part
from training.files import (
    CONFIGURATION_FILE,
    CPU_CONFIG_FILE,
    CPU_GRAPH_FILE,
    GPU_CONFIG_FILES,
    GPU_GRAPH_FILE,
    WEIGHTS_FILE,
)
from training.graphs.proof import with_proof
from training.graphs.session import open_session, run
from training.graphs.signature import refuse_other_signature
from training.pipeline import lock_digest
from training.runs import stale_stage

FIGURES = ("dice_pooled", "dice_type_mean", "auroc", "type_right_of_found")


def model_parameters(
    configuration: Mapping[str, Any], types: Sequence[str], precision: str, quality: Mapping[str, Any]
) -> dict[str, str]:
    """Return the parameters that travel with the model; their names begin with `model.`, so that no backend uses them.

    configuration: that of the weights. types: in the order of their classes. quality: what
    acceptance.Quality.figures returns for this precision.
    """
    part = tested_part(quality)
    figures = quality[part]
    return {
        "model.threshold": str(quality["operating_point"]["threshold"]),
        **_limits("", quality["operating_point"]["alarm_score"], quality["review_score"]),
        **_limits("tile_", **quality["tiles"]),
        "model.novelty_limit": str(quality["novelty_limit"]),
        "model.types": ",".join(types),
        "model.precision": precision,
        "model.commit": configuration["commit"],
        "model.commit_dirty": str(configuration["dirty"]).lower(),
        "model.train_lock": "" if stale_stage((CONFIGURATION_FILE, WEIGHTS_FILE)) else lock_digest("train"),
        "model.data_digest": configuration["data_digest"],
        **{f"model.{part}.{name}": f"{figures[name]:.4f}" for name in FIGURES if name in figures},
        f"model.{part}.free_images_with_an_alarm": f"{figures['free']['any_pixel_share']:.4f}",
    }


def _limits(of: str, alarm_score: float, review_score: float | None) -> dict[str, str]:
    review = {} if review_score is None else {f"model.{of}review_score": str(review_score)}
    return {f"model.{of}alarm_score": str(alarm_score)} | review


def render_config(parameters: Mapping[str, str], max_batch_size: int, graph_file: Path = CPU_GRAPH_FILE) -> str:
    """Render config.pbtxt from its template."""
    lines = [
        f"parameters {{ key: {json.dumps(key)} value: {{ string_value: {json.dumps(value, ensure_ascii=False)} }} }}"
        for key, value in parameters.items()
    ]
    return _template("config").substitute(
        graph_file=graph_file.name,
        max_batch_size=max_batch_size,
        label_bytes=LABEL_BYTES,
        sums=SUMS,
        parameters="\n".join(lines),
    )


def render_gpu_configs(parameters: Mapping[str, str], max_batch_size: int, entries: Sequence[Entry]) -> dict[str, str]:
    """Render configs/gpu.pbtxt, and configs/tensorrt.pbtxt, whose warm-up spans the dataset's canvases.

    parameters: with `model.digest`, after which TensorRT's engines are named.
    """
    gpu = render_config(parameters, max_batch_size, GPU_GRAPH_FILE) + _template("gpu").substitute()
    tensorrt = _template("tensorrt").substitute(_warm_up(entries, max_batch_size), digest=parameters["model.digest"])
    return {"gpu": gpu, "tensorrt": gpu + tensorrt}


def _template(name: str) -> Template:
    return Template(Path(__file__).with_name(f"{name}.pbtxt.template").read_text(encoding="utf-8"))


def _warm_up(entries: Sequence[Entry], max_batch_size: int) -> dict[str, str | int]:
    """Return the sides of two canvases, as `height, width`: all the dataset's and the golden one are between them."""
    sides = [(SIDE, SIDE), *(canvas_size(entry.height, entry.width) for entry in entries)]
    smallest, largest = ([edge(side) for side in zip(*sides, strict=True)] for edge in (min, max))
    return {
        "smallest": "{}, {}".format(*smallest),
        "largest": "{}, {}".format(*largest),
        "largest_batch": max_batch_size,
    }


def label(graph: Path, parameters: Mapping[str, str]) -> dict[str, str]:
    """Have a graph prove its answers, and return the parameters of its configuration.

    Beside the given ones these are `model.digest`, which the graph's metadata and label say as well, the sha256 of the
    file and its answer to the golden image.
    """
    proven, labelled = with_proof(onnx.load(graph), parameters)
    with replacing(graph) as aside:
        onnx.save(proven, aside)
    golden, _ = run(open_session(graph), golden_canvas()[0])
    sha256 = hashlib.sha256(graph.read_bytes()).hexdigest()
    return {**labelled, "model.sha256": sha256, "model.golden": golden_answer(golden)}


def publish(cpu: Path, config: str, gpu: Path, gpu_configs: Mapping[str, str]) -> None:
    """If every graph matches its configuration, replace graphs and configurations.

    All are written aside before the first is renamed, so that a full disk replaces none.

    Raises: ExportError, when a graph does not match; then nothing is replaced.
    """
    for graph, texts in ((cpu, [config]), (gpu, list(gpu_configs.values()))):
        for text in texts:
            refuse_other_signature(onnx.load(graph), text)
    files = {CPU_CONFIG_FILE: config.encode(), CPU_GRAPH_FILE: cpu.read_bytes(), GPU_GRAPH_FILE: gpu.read_bytes()}
    files |= {GPU_CONFIG_FILES[name]: text.encode() for name, text in gpu_configs.items()}
    with ExitStack() as written:
        for path, content in files.items():
            written.enter_context(replacing(path)).write_bytes(content)
