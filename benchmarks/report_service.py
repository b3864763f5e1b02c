"""The sections on the service as a whole, each from one record: request path, load, overload, batching, memory."""

from collections.abc import Mapping
from typing import Any

from benchmarks.answers import JSON, PNG
from benchmarks.markdown import latencies, left_out, milliseconds, picture, rate, share, source, table

Record = Mapping[str, Any]
STAGES = ("read", "decode", "queue", "infer", "encode", "total")


def proxy_text(record: Record) -> str:
    """Return what the proxy itself costs, without a network behind it."""
    figures = record["figures"]
    rows = [
        (name.upper(), rate(figures[name]["requests_s_per_core"]), f"{figures[name]['cpu_us'] / 1000:.2f}")
        for name in ("png", "json")
    ]
    steps = [(name.replace("_", " "), f"{value / 1000:.2f}") for name, value in figures["stages_us"].items()]
    return "\n\n".join(
        [
            table(["answer", "requests/s that one core can serve", "processor time of a request, ms"], rows),
            picture("proxy", "Processor time of each of the proxy's steps, and the requests a core can serve"),
            table(["step of a request", "processor time, ms"], steps),
            source(record),
        ]
    )


def path_text(record: Record) -> str:
    """Return where one client's time goes when nobody else asks."""
    alone = {name: record["figures"]["closed_loop"][answer][0] for name, answer in (("PNG", PNG), ("JSON", JSON))}
    rows = [
        (stage, *(milliseconds(point["stages_ms"].get(stage, {}).get("p50")) for point in alone.values()))
        for stage in STAGES
    ]
    rows.append(
        ("**as the client sees it**", *(milliseconds(point["latency_ms"].get("p50")) for point in alone.values()))
    )
    header = ["median, ms", *(f"{name}, clients: {point['clients']}" for name, point in alone.items())]
    return "\n\n".join([table(header, rows), source(record)])


def load_text(record: Record) -> str:
    """Return the closed loops."""
    rows = [
        (
            f"{name}, {point['clients']}",
            rate(point["answered_s"]),
            *latencies(point),
            point["refused"] + point["failed"],
        )
        for name, answer in (("PNG", PNG), ("JSON", JSON))
        for point in record["figures"]["closed_loop"][answer]
    ]
    header = ["answer, clients at once", "images/s", "p50, ms", "p95, ms", "p99, ms", "not answered"]
    words = "Images a second and latency against the number of clients, for PNG and JSON answers"
    return "\n\n".join([picture("analyze", words), table(header, rows), source(record)])


def overload_text(record: Record) -> str:
    """Return the open loops."""
    figures = record["figures"]
    rows = []
    for point in figures["open_loop"]:
        arrived = max(1, sum(point[kind] for kind in ("answered", "refused", "failed")))
        lost = [share(point[kind] / arrived) for kind in ("refused", "failed")]
        times = [*latencies(point), milliseconds(point["refusal_ms"].get("p50"))]
        rows.append((f"{point['share']:g}", rate(point["rate_s"]), rate(point["answered_s"]), *lost, *times))
    header = ["times the capacity", "arrivals/s", "answers/s", "refused", "failed", "p50, ms", "p95, ms", "p99, ms"]
    header.append("a refusal's p50, ms")
    words = "Answers, refusals and latency against the rate of arrivals"
    capacity = f"The capacity, from the closed loops: {rate(figures['capacity_s'])} images/s."
    parts = [capacity, picture("overload", words), table(header, rows), *left_out(figures), source(record)]
    return "\n\n".join(parts)


def batching_text(record: Record) -> str:
    """Return what batches buy and cost, on the CPU and before the stand-in."""
    times = record["settings"]["flat_ms"]
    parts = [
        picture("batching", "Images a second with batches and without, on the CPU and before a stand-in for a GPU"),
        "On the CPU, before the real Triton:",
        _batching_table(record["figures"]["cpu"]),
        f"Before a stand-in that takes {times['a']:g} + {times['b']:g}·N ms for a batch of N:",
        _batching_table(record["figures"]["flat"]),
        source(record),
    ]
    return "\n\n".join(parts)


def _batching_table(points: list[Mapping[str, Any]]) -> str:
    def load(point: Mapping[str, Any]) -> str:
        return f"clients: {point['clients']}" if "clients" in point else f"arrivals/s: {rate(point['rate_s'])}"

    loads = dict.fromkeys((point["traffic"], load(point)) for point in points)
    sizes = sorted({point["max_batch_size"] for point in points})
    found = {(point["traffic"], load(point), point["max_batch_size"]): point for point in points}
    rows = []
    for traffic, words in loads:
        of_sizes = [found[traffic, words, size] for size in sizes]
        rates = [rate(point["answered_s"]) for point in of_sizes]
        medians = [milliseconds(point["latency_ms"].get("p50")) for point in of_sizes]
        rows.append((f"{traffic}, {words}", *rates, *medians, f"{of_sizes[-1]['batch_mean']:.1f}"))
    rates, medians = ([f"{unit}, batch ≤ {size}" for size in sizes] for unit in ("images/s", "p50, ms"))
    return table(["tiles, load", *rates, *medians, f"mean batch, ≤ {sizes[-1]}"], rows)


def memory_text(record: Record) -> str:
    """Return the memory idle and after the last image, and whose it is."""
    points = record["figures"]["points"]
    chosen = [points[0], points[-1]]
    rows = [(f"{p['images']:,}", *(f"{p[kind]:.0f}" for kind in ("resident", "proportional", "peak"))) for p in chosen]
    header = ["images answered", "resident, MiB", "shared pages counted once, MiB", "most ever resident, MiB"]
    roles = [
        (name, found["processes"], f"{found['resident']:.0f}") for name, found in record["figures"]["by_role"].items()
    ]
    words = "Memory against the number of images answered, and by process at the end"
    return "\n\n".join(
        [
            picture("memory", words),
            table(header, rows),
            table(["at the end", "processes", "resident, MiB"], roles),
            source(record),
        ]
    )
