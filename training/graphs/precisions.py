"""The float32 graph in int8 and fp16, what each loses and gains, and which of them are served."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.dataset.samples import Sample, load_part
from training.graphs.acceptance import Quality, losses, measure_quality, refusals, speed_up
from training.graphs.calibration import choose_images
from training.graphs.checked import checked_graph
from training.graphs.quantization import to_fp16, to_int8
from training.params import Params

PRECISIONS = ("fp32", "int8", "fp16")


def make_graphs(params: Params, folder: Path) -> dict[str, Path]:
    """Convert the float32 graph to int8 and fp16 in a folder, and return the path of each precision there."""
    graphs = {name: folder / f"{name}.onnx" for name in PRECISIONS}
    graphs["fp32"].write_bytes(checked_graph(params.export.shape_solver_timeout_s).read_bytes())
    images = choose_images(load_part("train", params), params.quantize.calibration_images, seed=params.base.seed)
    to_int8(graphs["fp32"], graphs["int8"], images, params.quantize)
    to_fp16(graphs["fp32"], graphs["fp16"])
    return graphs


def compare_precisions(
    graphs: Mapping[str, Path], parts: Mapping[str, Sequence[Sample]], params: Params
) -> dict[str, Any]:
    """Measure each precision; for int8 and fp16, also return what each loses and gains, and reasons to refuse it."""
    qualities = {name: measure_quality(graph, parts, params.evaluate) for name, graph in graphs.items()}
    timed = list(parts["validation"])[:: max(1, len(parts["validation"]) // params.quantize.timed_images)]
    speeds = {"int8": speed_up(graphs["fp32"], graphs["int8"], timed), "fp16": None}  # fp16 is faster only on a GPU
    return {
        name: {"bytes": graphs[name].stat().st_size, **quality.figures()}
        | ({} if name == "fp32" else _verdict(qualities["fp32"], quality, speeds[name], params))
        for name, quality in qualities.items()
    }


def _verdict(reference: Quality, quality: Quality, gained: float | None, params: Params) -> dict[str, Any]:
    lost = losses(reference.dice, quality.dice)
    speed = {} if gained is None else {"speed_up": round(gained, 2)}
    return {"dice_loss": lost, **speed, "refused": refusals(lost, gained, params.quantize)}


def choose_served(found: Mapping[str, Any], params: Params) -> dict[str, str]:
    """Return which precision is served on each kind of processor; print the reasons for a refusal."""
    for name in ("int8", "fp16"):
        for reason in found[name]["refused"]:
            print(f"{name} is not served: {reason}")  # noqa: T201
    cpu = "fp32" if found["int8"]["refused"] else params.quantize.serve
    return {"cpu": cpu, "gpu": "fp32" if found["fp16"]["refused"] else "fp16"}
