"""`make bench-report`, first half: draws the records' figures as docs/images/bench-<name>.svg; measures nothing."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.charts import COLOURS, finish, line, lying_bars, two_charts, upright_bars
from benchmarks.errors import exit_status, say
from benchmarks.perf_analyzer import ALONE, SATURATED, by_share
from benchmarks.record import read_record
from benchmarks.samples import JSON, PNG

FOLDER = Path("docs/images")
Figures = Mapping[str, Any]  # of a record


def main() -> None:
    """Draw the charts of every record that is there."""
    for name, (record_name, draw) in CHARTS.items():
        record = read_record(record_name)
        if record is None:
            say(f"bench-{name}.svg is left as it is: `make bench-{record_name}` was not run")
            continue
        with two_charts(FOLDER / f"bench-{name}.svg") as (left, right):
            draw(record["figures"], left, right)


def analyze(figures: Figures, left: Any, right: Any) -> None:
    """Throughput and latency of closed loops."""
    for style, (name, answer) in enumerate((("PNG", PNG), ("JSON", JSON))):
        points = figures["closed_loop"][answer]
        clients = [point["clients"] for point in points]
        line(left, clients, [point["answered_s"] for point in points], name, style)
        for percentile in ("p50", "p99"):
            values = [point["latency_ms"].get(percentile) for point in points]
            line(right, clients, values, f"{name}, {percentile}", style, dashed=percentile == "p99")
    finish(left, "clients at once", "images/s", powers=clients)
    finish(right, "clients at once", "latency, ms", powers=clients)


def overload(figures: Figures, left: Any, right: Any) -> None:
    """What happens to arrivals at shares of the capacity."""
    points = figures["open_loop"]
    shares = [point["share"] for point in points]
    arrived = [max(1, point["answered"] + point["refused"] + point["failed"]) for point in points]
    refused = [point["rate_s"] * point["refused"] / total for point, total in zip(points, arrived, strict=True)]
    line(left, shares, [point["rate_s"] for point in points], "arrivals", 3, dashed=True)
    line(left, shares, [point["answered_s"] for point in points], "answered", 0)
    line(left, shares, refused, "refused (503)", 1)
    left.axhline(figures["capacity_s"], color="grey", linewidth=0.8)
    for style, percentile in enumerate(("p50", "p95", "p99")):
        line(right, shares, [point["latency_ms"].get(percentile) for point in points], percentile, style)
    finish(left, "arrivals, times the capacity", "images/s")
    finish(right, "arrivals, times the capacity", "latency of answers, ms")


def triton(figures: Figures, left: Any, right: Any) -> None:
    """Triton alone at three sizes: throughput, and the time for a canvas by its pixels."""
    kilopixels, alone_ms, saturated_ms = [], [], []
    for style, found in enumerate(figures["sizes"].values()):
        (height, width), points = found["canvas"], found["points"]
        concurrencies = [point["concurrency"] for point in points]
        line(left, concurrencies, [point["images_s"] for point in points], f"{width} × {height} pixels", style)
        kilopixels.append(height * width / 1000)
        alone_ms.append(next(point["latency_ms"]["p50"] for point in points if point["concurrency"] == ALONE))
        saturated_ms.append(1000 / max(point["images_s"] for point in points))
    line(right, kilopixels, alone_ms, "latency of one alone, median", 0)
    line(right, kilopixels, saturated_ms, "time per image at the best throughput", 1)
    finish(left, "requests at once", "images/s", powers=concurrencies)
    finish(right, "canvas, thousand pixels", "ms")


def instances(figures: Figures, left: Any, right: Any) -> None:
    """Ways to divide the cores: saturated throughput, and the latency of one request alone."""
    shares = by_share(figures["analysis"])
    upright_bars(left, {f"{SATURATED} at once": {name: share.images_s for name, share in shares.items()}})
    upright_bars(right, {"one alone, median": {name: share.alone_p50 for name, share in shares.items()}})
    finish(left, "instances × threads", "images/s")
    finish(right, "instances × threads", "latency, ms")


def batching(figures: Figures, left: Any, right: Any) -> None:
    """With batches and without, on the CPU and with the fake Triton."""
    most = max(point["clients"] for point in figures["cpu"])
    groups: dict[str, dict[str, float]] = {}
    for point in figures["cpu"]:
        if point["clients"] == most:
            groups.setdefault(f"batch ≤ {point['max_batch_size']}", {})[point["traffic"]] = point["answered_s"]
    upright_bars(left, groups)
    lines: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for point in figures["flat"]:
        if "clients" in point:
            lines.setdefault((point["traffic"], point["max_batch_size"]), []).append(point)
    for style, ((traffic, size), points) in enumerate(sorted(lines.items(), key=lambda each: each[0])):
        clients = [point["clients"] for point in points]
        line(right, clients, [point["answered_s"] for point in points], f"{traffic}, batch ≤ {size}", style)
    finish(left, f"Triton on the CPU, {most} clients", "images/s")
    finish(right, "stand-in for a GPU, clients at once", "images/s")


def peers(figures: Figures, left: Any, right: Any) -> None:
    """Each contender's share of what ONNX Runtime alone does, and its images per second."""
    found = list(figures["contenders"].values())[::-1]
    colours = [COLOURS[{"ours": 1, "peer": 0}.get(each["kind"], 2)] for each in found]
    shares = {each["what"]: each["to_limit"] for each in found}
    spread = [[s["median"] - s["min"] for s in shares.values()], [s["max"] - s["median"] for s in shares.values()]]
    medians = {name: share["median"] for name, share in shares.items()}
    label = "times ONNX Runtime alone (least to most of the rounds)"
    lying_bars(left, label, medians, xerr=spread, color=colours, capsize=3)
    lying_bars(right, "images/s, median", {each["what"]: each["images_s"] for each in found}, color=colours)
    right.set_yticks([])


def memory(figures: Figures, left: Any, right: Any) -> None:
    """Memory by images answered, and by process at the end."""
    images = [point["images"] for point in figures["points"]]
    for style, (key, name) in enumerate({"resident": "resident", "proportional": "shared pages counted once"}.items()):
        line(left, images, [point[key] for point in figures["points"]], name, style)
    finish(left, "images answered", "MiB, Triton and the proxy")
    lying_bars(right, "resident at the end, MiB", {name: each["resident"] for name, each in figures["by_role"].items()})


def train(figures: Figures, left: Any, right: Any) -> None:
    """The time of one step, and images per second."""
    training, loader_ms = figures["training"], figures["training"]["loader_ms"]
    parts = {"the network": training["step_ms"] - loader_ms, "making the crops": loader_ms}
    lying_bars(left, "a training step, ms", parts)
    speeds = {"training, crops": training["images_s"], "prediction, images": figures["prediction"]["images_s"]}
    lying_bars(right, "images/s", speeds)


def proxy(figures: Figures, left: Any, right: Any) -> None:
    """The proxy's own steps, and how many requests a core can serve."""
    steps = {name.replace("_", " "): value for name, value in reversed(figures["stages_us"].items())}
    lying_bars(left, "processor time of a request's steps, µs", steps)
    ceilings = {name.upper(): figures[name]["requests_s_per_core"] for name in ("json", "png")}
    lying_bars(right, "requests/s that one core can serve", ceilings)


CHARTS: Mapping[str, tuple[str, Callable[[Figures, Any, Any], None]]] = {  # image: its record, and how it is drawn
    "proxy": ("proxy", proxy),
    "analyze": ("analyze", analyze),
    "overload": ("analyze", overload),
    "triton": ("triton", triton),
    "instances": ("triton", instances),
    "batching": ("batching", batching),
    "peers": ("peers", peers),
    "memory": ("memory", memory),
    "train": ("train", train),
}


if __name__ == "__main__":
    sys.exit(exit_status(main))
