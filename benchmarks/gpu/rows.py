"""The record of a check as lines of a table; a part that was left out is `not measured`."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

NOT_MEASURED = "not measured"

Figures = Mapping[str, Any]


def rows(record: Figures | None) -> list[tuple[str, str]]:
    """Return what was measured and the figure, line by line. record: None if there is none."""
    figures = record["figures"] if record else {}
    return [(what, told(figures[part]) if part in figures else NOT_MEASURED) for part, what, told in LINES]


def _losses(found: Figures) -> str:
    return "; ".join(_percent(found["largest_difference"][run]) for run in ("gpu_float32", "gpu_bfloat16"))


def _pair(pair: str) -> Callable[[Figures], str]:
    return lambda found: f"{found[pair]['grey_levels']}; {_percent(found[pair]['differing_mask_pixels'])}"


def _fold(found: Figures) -> str:
    return f"{found['training_s']:.0f}; {found['steps_s']:.0f}"


def _dice(found: Figures) -> str:
    return f"{found['test']['dice_pooled']:.3f}; {found['published']['dice_pooled']:.3f}"


def _speed(found: Figures) -> str:
    return f"{found['images_s']:.0f}; {found['step_ms']:.1f}"


def _loader(found: Figures) -> str:
    return f"{_percent(found['loader_share'])}; {found['workers']}"


def _batches(found: Figures) -> str:
    return ", ".join(f"{point['batch']}: {point['images_s']:.0f}" for point in found["points"])


def _first(search: str) -> Callable[[Figures], str]:
    kinds = ("first_ms", "second_ms", "returning_ms")
    return lambda found: "; ".join(f"{statistics.median(found[search][kind]):.1f}" for kind in kinds)


def _left_to_the_cpu(found: Figures) -> str:
    counts = found["operators"].get("CPUExecutionProvider", {})
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "none"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


# part, what it measured, the figure
LINES: tuple[tuple[str, str, Callable[[Figures], str]], ...] = (
    ("losses", "the first steps' loss, GPU against CPU, largest difference: float32; bfloat16", _losses),
    ("speed", "training: crops/s; ms of a step", _speed),
    ("speed", "share of a step in which it waits for crops; processes that make them", _loader),
    ("fold", "a whole training, s; of these in steps", _fold),
    ("fold", "Dice of the test images; of the published model", _dice),
    ("agreement", "graph on the GPU against the CPU: grey levels; mask pixels", _pair("graph_gpu_to_graph_cpu")),
    ("agreement", "graph on the GPU against torch: grey levels; mask pixels", _pair("graph_gpu_to_torch_cpu")),
    ("agreement", "torch, GPU (TF32) against CPU: grey levels; mask pixels", _pair("torch_gpu_tf32_to_torch_cpu")),
    ("agreement", "operators of the graph that CUDA leaves to the CPU", _left_to_the_cpu),
    ("batches", "images/s of the graph, by batch size", _batches),
    (
        "first_requests",
        "ms of a size's first image; its second; when it returns (cuDNN's heuristic)",
        _first("heuristic"),
    ),
    ("first_requests", "the same (cuDNN's exhaustive search)", _first("exhaustive")),
)
