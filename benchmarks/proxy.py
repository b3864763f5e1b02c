"""`make bench-proxy`: how many requests one core of the proxy can serve, in front of a Triton that answers at once.

The figure is requests per second *of the proxy's processor time*: user and system time of its process with all its
threads, divided by the number of requests. So it does not depend on how many cores the load tool leaves to the
proxy. proxy_stages.py measures each step's share of it.
"""

import argparse
import json
import statistics
import sys
from typing import Any

from benchmarks.errors import exit_status, say
from benchmarks.load import fixed_work
from benchmarks.processes import cpu_s
from benchmarks.record import write_record
from benchmarks.samples import JSON, PNG, jpeg_bodies
from benchmarks.servers import Server, bare_aiohttp, fake_triton, metrics, proxy
from benchmarks.tools import Command, run_tool, serving_python

ANSWERS = {"png": PNG, "json": JSON}
SHIPPED = {"LOG_LEVEL": "INFO"}  # a log line for each request is part of the time
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # as the proxy sets it for itself, before numpy reads it
WARM_UP_CYCLES = 10
STAGES_S = 600
BATCHES = ("proxy_batch_images_count", "proxy_batch_images_sum")


def main() -> None:
    """Measure, and write the record `proxy`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy", description="Requests that one core can serve.")
    parser.add_argument("--clients", type=int, default=8, help="clients at once; default: %(default)s")
    parser.add_argument(
        "--cycles", type=int, default=50, help="cycles over the samples in a round; default: %(default)s"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds, of which the median counts; default: %(default)s"
    )
    options = parser.parse_args()
    with fake_triton() as triton, proxy(triton.address, **SHIPPED) as started:
        figures = measure(started, options.clients, options.cycles, options.rounds)
        figures["stages_us"] = stages_us(triton, figures["png"]["cpu_us"], options.clients, options.cycles)
    write_record("proxy", figures=figures, settings=vars(options) | SHIPPED)


def measure(started: Server, clients: int, cycles: int, rounds: int) -> dict[str, Any]:
    """Return the figures of each kind of answer; they take turns, after a warm-up."""
    for accept in ANSWERS.values():
        load_once(started, accept, clients, WARM_UP_CYCLES)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ANSWERS}
    for _ in range(rounds):
        for name, accept in ANSWERS.items():
            run = load_once(started, accept, clients, cycles)
            say(f"{name}: {run['cpu_us']:.0f} µs a request, {run['answered_s']:.0f} answered/s")
            runs[name].append(run)
    batches, images = (metrics(started)[name] for name in BATCHES)
    return {name: summary(each) for name, each in runs.items()} | {"batch_mean": round(images / batches, 2)}


def load_once(started: Server, accept: str, clients: int, cycles: int) -> dict[str, Any]:
    """Return one load's figures and the proxy's processor time for a request, in microseconds.

    Raises: LoadError, if a request is not answered with 200.
    """
    bodies = jpeg_bodies(accept)
    before_s = cpu_s(started.pid)
    load = fixed_work(started.analyze_url, bodies, clients=clients, cycles=cycles)
    spent_s = cpu_s(started.pid) - before_s
    cpu_us = round(1e6 * spent_s / (len(bodies) * (cycles + 1)), 1)
    return {"cpu_us": cpu_us, "answered_s": load.answered_s, "latency_ms": load.latency_ms}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of the rounds, with its extremes and the loads themselves."""
    times_us = [run["cpu_us"] for run in runs]
    median_us = statistics.median(times_us)
    return {
        "requests_s_per_core": round(1e6 / median_us, 1),
        "cpu_us": median_us,
        "cpu_us_range": [min(times_us), max(times_us)],
        "answered_s": statistics.median(run["answered_s"] for run in runs),
        "loads": runs,
    }


def stages_us(triton: Server, total_us: float, clients: int, cycles: int) -> dict[str, float]:
    """Return the processor time of each step of a request for a PNG; `rest` is middleware, metrics, logs and tasks.

    The steps are measured one by one, with warm caches and one image per batch; the rest is what remains of the total.
    """
    command: Command = [serving_python(), "-m", "benchmarks.proxy_stages", triton.address]
    steps: dict[str, float] = json.loads(run_tool(command, timeout_s=STAGES_S, variables=ONE_THREAD))
    with bare_aiohttp() as bare:
        steps["aiohttp"] = load_once(bare, PNG, clients, cycles)["cpu_us"]
    of_png = sum(time_us for step, time_us in steps.items() if step != "encode_json")
    return {**steps, "rest": round(total_us - of_png, 1)}


if __name__ == "__main__":
    sys.exit(exit_status(main))
