"""The sections on the network: what a tile costs, how cores are shared out, who else serves it, training."""

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.inference import ALONE, SATURATED
from benchmarks.markdown import latencies, left_out, milliseconds, picture, rate, share, source, table

Record = Mapping[str, Any]
MEGAPIXEL = 1_000_000


def sizes_text(record: Record) -> str:
    """Return what a tile costs by its size and by how many are asked for at once."""
    sizes = record["figures"]["sizes"]
    rows = [
        (f"{size}, {point['concurrency']}", rate(point["images_s"]), *latencies(point))
        for size, found in sizes.items()
        for point in found["points"]
    ]
    costs = []
    for size, found in sizes.items():
        height, width = found["canvas"]
        alone_ms, best_s = found["points"][0]["latency_ms"]["p50"], max(point["images_s"] for point in found["points"])
        speed = f"{best_s * height * width / MEGAPIXEL:.2f}"
        costs.append((size, f"{width} × {height}", milliseconds(alone_ms), milliseconds(1000 / best_s), speed))
    cost_header = ["canvas", "pixels", "alone, p50, ms", "at the best throughput, ms an image", "megapixels/s"]
    return "\n\n".join(
        [
            table(cost_header, costs),
            picture(
                "triton", "Images a second against requests at once, and milliseconds against pixels, at three sizes"
            ),
            table(["canvas, requests at once", "images/s", "p50, ms", "p95, ms", "p99, ms"], rows),
            source(record),
        ]
    )


def instances_text(record: Record) -> str:
    """Return how the cores are best shared out."""
    points = record["figures"]["analysis"]
    found: dict[tuple[int, int, int], dict[int, Mapping[str, Any]]] = {}
    for point in points:
        key = (point["instances"], point["threads"], point["max_batch_size"])
        found.setdefault(key, {})[point["concurrency"]] = point
    rows = [
        (
            f"{instances} × {threads}",
            batch_size,
            milliseconds(of[ALONE]["latency_ms"]["p50"]),
            rate(of[SATURATED]["images_s"]),
            milliseconds(of[SATURATED]["latency_ms"]["p50"]),
            milliseconds(of[SATURATED]["latency_ms"]["p99"]),
        )
        for (instances, threads, batch_size), of in found.items()
    ]
    many = f"{SATURATED} at once"
    header = [
        "instances × threads",
        "largest batch",
        "alone, p50, ms",
        f"{many}, images/s",
        f"{many}, p50, ms",
        f"{many}, p99, ms",
    ]
    words = "Throughput and latency of instances × threads with three sizes of batch"
    return "\n\n".join([picture("instances", words), table(header, rows), source(record)])


def peers_text(record: Record) -> str:
    """Return everybody's share of what ONNX Runtime alone does, and ours of the best peer's."""
    figures = record["figures"]
    rows = [
        (
            each["what"],
            rate(each["images_s"]),
            _spread(each["to_limit"]),
            milliseconds(each["latency_ms"].get("p50")),
            ", ".join(f"{name} {value}" for name, value in each["variant"].items()) or "as shipped",
            "–" if each["kind"] == "runtime" else each["clients"],
            "–" if each["differing_pixels"] is None else share(each["differing_pixels"]),
        )
        for each in figures["contenders"].values()
    ]
    header = ["who", "images/s", "times ONNX Runtime alone", "p50, ms", "best settings", "clients", "other mask pixels"]
    parts = [
        picture("peers", "Images a second of every contender, and as a share of ONNX Runtime alone"),
        table(header, rows),
    ]
    best = figures["ours_to_best_peer"]
    if best:
        parts.append(
            f"This project, PNG out, beside the fastest peer, {best['peer']}: {_spread(best)} times its images/s."
        )
    if alone := figures["latency_alone"]:
        network, service = (statistics.median(alone[name]) for name in ("network_ms", "service_ms"))
        parts.append(
            f"One client that waits for each answer has it after {service:.1f} ms, {_spread(alone['ratio'])} times the "
            f"{network:.1f} ms of one ONNX Runtime session with one thread, as each of our instances is."
        )
    return "\n\n".join([*parts, *left_out(figures), source(record)])


def _spread(found: Mapping[str, float]) -> str:
    return f"**{found['median']:.2f}** ({found['min']:.2f}–{found['max']:.2f})"


def train_text(record: Record) -> str:
    """Return the speed of training and prediction, and what the crops cost of it."""
    training, prediction = record["figures"]["training"], record["figures"]["prediction"]
    rows = [
        ("training, crops/s", rate(training["images_s"])),
        ("one step, ms, median", milliseconds(training["step_ms"])),
        ("… of which the crops are made", milliseconds(training["loader_ms"])),
        ("their share of all time", share(training["loader_share"])),
        ("prediction of whole tiles in torch, tiles/s", rate(prediction["images_s"])),
    ]
    words = "A training step's time, and images a second of training and prediction"
    return "\n\n".join([picture("train", words), table(["", ""], rows), source(record)])
