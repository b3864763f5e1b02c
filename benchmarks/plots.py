"""`make bench-report`, first half: each record's figures as docs/images/bench-<name>.svg; nothing is measured here."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.answers import JSON, PNG
from benchmarks.charts import COLOURS, bars, finish, line, new_figure, save
from benchmarks.errors import exit_status, say
from benchmarks.inference import ALONE, SATURATED
from benchmarks.record import read_record

FOLDER = Path("docs/images")
Draw = Callable[[Mapping[str, Any], Sequence[Any]], None]  # a record's figures, and two axes


def main() -> None:
    """Draw whatever has a record."""
    for name, (record_name, draw) in PLOTS.items():
        record = read_record(record_name)
        if record is None:
            say(f"bench-{name}.svg is left as it is: `make bench-{record_name}` was not run")
            continue
        figure = new_figure()
        draw(record["figures"], figure.axes)
        save(figure, FOLDER / f"bench-{name}.svg")


def draw_analyze(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """Throughput and latency of closed loops."""
    for style, (name, answer) in enumerate((("PNG", PNG), ("JSON", JSON))):
        points = figures["closed_loop"][answer]
        clients = [point["clients"] for point in points]
        line(axes[0], clients, [point["answered_s"] for point in points], name, style)
        for percentile in ("p50", "p99"):
            values = [point["latency_ms"].get(percentile) for point in points]
            line(axes[1], clients, values, f"{name}, {percentile}", style, dashed=percentile == "p99")
    finish(axes[0], "clients at once", "images/s", powers=clients)
    finish(axes[1], "clients at once", "latency, ms", powers=clients)


def draw_overload(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """What becomes of arrivals at shares of the capacity."""
    points, capacity = figures["open_loop"], figures["capacity_s"]
    shares = [point["share"] for point in points]
    everything = [max(1, sum(point[kind] for kind in ("answered", "refused", "failed"))) for point in points]
    refused = [point["rate_s"] * point["refused"] / total for point, total in zip(points, everything, strict=True)]
    line(axes[0], shares, [point["rate_s"] for point in points], "arrivals", 3, dashed=True)
    line(axes[0], shares, [point["answered_s"] for point in points], "answered", 0)
    line(axes[0], shares, refused, "refused (503)", 1)
    axes[0].axhline(capacity, color="grey", linewidth=0.8)
    for style, percentile in enumerate(("p50", "p95", "p99")):
        values = [point["latency_ms"].get(percentile) for point in points]
        line(axes[1], shares, values, percentile, style)
    finish(axes[0], "arrivals, times the capacity", "images/s")
    finish(axes[1], "arrivals, times the capacity", "latency of answers, ms")


def draw_triton(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """Triton alone at three sizes: throughput, and what a canvas costs by its pixels."""
    kilopixels, alone_ms, saturated_ms = [], [], []
    for style, found in enumerate(figures["sizes"].values()):
        height, width = found["canvas"]
        points = found["points"]
        concurrencies = [point["concurrency"] for point in points]
        line(axes[0], concurrencies, [point["images_s"] for point in points], f"{width} × {height} pixels", style)
        kilopixels.append(height * width / 1000)
        alone_ms.append(points[0]["latency_ms"]["p50"])
        saturated_ms.append(1000 / max(point["images_s"] for point in points))
    line(axes[1], kilopixels, alone_ms, "latency of one alone, median", 0)
    line(axes[1], kilopixels, saturated_ms, "time per image at the best throughput", 1)
    finish(axes[0], "requests at once", "images/s", powers=concurrencies)
    finish(axes[1], "canvas, thousand pixels", "ms")


def draw_instances(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """The cores shared out in several ways: saturated throughput, and the latency of one request alone."""
    points = figures["analysis"]
    bars(axes[0], _by_share(points, SATURATED, lambda point: float(point["images_s"])))
    bars(axes[1], _by_share(points, ALONE, lambda point: float(point["latency_ms"]["p50"])))
    finish(axes[0], "instances × threads", f"images/s, {SATURATED} at once")
    finish(axes[1], "instances × threads", "latency of one alone, median, ms")


def _by_share(
    points: Sequence[Mapping[str, Any]], concurrency: int, value: Callable[[Mapping[str, Any]], float]
) -> dict[str, dict[str, float]]:
    groups: dict[str, dict[str, float]] = {}
    for point in points:
        if point["concurrency"] == concurrency:
            share = f"{point['instances']} × {point['threads']}"
            groups.setdefault(f"batch ≤ {point['max_batch_size']}", {})[share] = value(point)
    return groups


def draw_batching(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """With batches and without, on the CPU and before the stand-in for a GPU."""
    most = max(point["clients"] for point in figures["cpu"])
    groups: dict[str, dict[str, float]] = {}
    for point in figures["cpu"]:
        if point["clients"] == most:
            groups.setdefault(f"batch ≤ {point['max_batch_size']}", {})[point["traffic"]] = point["answered_s"]
    bars(axes[0], groups)
    closed = [point for point in figures["flat"] if "clients" in point]
    kinds = sorted({(point["traffic"], point["max_batch_size"]) for point in closed})
    for style, (traffic, size) in enumerate(kinds):
        points = [point for point in closed if (point["traffic"], point["max_batch_size"]) == (traffic, size)]
        clients = [point["clients"] for point in points]
        line(axes[1], clients, [point["answered_s"] for point in points], f"{traffic}, batch ≤ {size}", style)
    finish(axes[0], f"Triton on the CPU, {most} clients", "images/s")
    finish(axes[1], "stand-in for a GPU, clients at once", "images/s")


def draw_peers(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """Everybody's share of what ONNX Runtime alone does, and their images a second."""
    found = list(figures["contenders"].values())[::-1]
    names = [each["what"] for each in found]
    colours = [COLOURS[{"ours": 1, "peer": 0}.get(each["kind"], 2)] for each in found]
    shares = [each["to_limit"] for each in found]
    away = [[s["median"] - s["min"] for s in shares], [s["max"] - s["median"] for s in shares]]
    axes[0].barh(names, [s["median"] for s in shares], xerr=away, color=colours, capsize=3)
    axes[1].barh(names, [each["images_s"] for each in found], color=colours)
    axes[1].set_yticks([])
    finish(axes[0], "times ONNX Runtime alone (least to most of the rounds)", "")
    finish(axes[1], "images/s, median", "")


def draw_memory(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """Memory on the way, and whose it is at the end."""
    points = figures["points"]
    images = [point["images"] for point in points]
    names = {"resident": "resident", "proportional": "shared pages counted once"}
    for style, (kind, name) in enumerate(names.items()):
        line(axes[0], images, [point[kind] for point in points], name, style)
    axes[0].set_ylim(bottom=0)
    roles = {name: found["resident"] for name, found in figures["by_role"].items()}
    axes[1].barh(list(roles), list(roles.values()), color=COLOURS[0])
    finish(axes[0], "images answered", "MiB, Triton and the proxy")
    finish(axes[1], "resident at the end, MiB", "")


def draw_train(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """One step, and images a second."""
    training = figures["training"]
    parts = {"the network": training["step_ms"] - training["loader_ms"], "making the crops": training["loader_ms"]}
    axes[0].barh(list(parts), list(parts.values()), color=COLOURS[0])
    speeds = {"training, crops": training["images_s"], "prediction, tiles": figures["prediction"]["images_s"]}
    axes[1].barh(list(speeds), list(speeds.values()), color=COLOURS[0])
    finish(axes[0], "a training step, ms", "")
    finish(axes[1], "images/s", "")


def draw_proxy(figures: Mapping[str, Any], axes: Sequence[Any]) -> None:
    """The proxy's own steps, and how many requests they leave a core time for."""
    steps = {name.replace("_", " "): value for name, value in figures["stages_us"].items()}
    axes[0].barh(list(steps)[::-1], list(steps.values())[::-1], color=COLOURS[0])
    ceilings = {name.upper(): figures[name]["requests_s_per_core"] for name in ("json", "png")}
    axes[1].barh(list(ceilings), list(ceilings.values()), color=COLOURS[0])
    finish(axes[0], "processor time of a request's steps, µs", "")
    finish(axes[1], "requests/s that one core can serve", "")


PLOTS: Mapping[str, tuple[str, Draw]] = {  # image: (record, how)
    "proxy": ("proxy", draw_proxy),
    "analyze": ("analyze", draw_analyze),
    "overload": ("analyze", draw_overload),
    "triton": ("triton", draw_triton),
    "instances": ("triton", draw_instances),
    "batching": ("batching", draw_batching),
    "peers": ("peers", draw_peers),
    "memory": ("memory", draw_memory),
    "train": ("train", draw_train),
}


if __name__ == "__main__":
    sys.exit(exit_status(main))
