"""`make bench-proxy`: the proxy's own ceiling, before a Triton that answers at once (instant_triton.py).

The figure is requests a second *of the proxy's processor time*: closed loops by k6, the samples as JPEG files, and the
user and system time of the proxy's process, with all its threads, over the number of requests. So it holds however few
cores k6 leaves it. Beside it: which step takes how much (proxy_stages.py), and a flame graph by py-spy.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.answers import JSON, PNG
from benchmarks.errors import LoadError, exit_status, say
from benchmarks.load import closed_loop, find_tool, fixed_work
from benchmarks.processes import cpu_s
from benchmarks.record import made_by, write_record
from benchmarks.samples import jpeg_bodies
from benchmarks.servers import Server, free_address, metrics, proxy, server, serving_python
from inference_server.child import child, first_of

ANSWERS = {"png": PNG, "json": JSON}
SHIPPED = {"LOG_LEVEL": "INFO"}  # a log line a request is part of what it costs
WARM_UP_CYCLES = 10
BATCHES = ("proxy_batch_images_count", "proxy_batch_images_sum")
FLAME = Path("docs/images/proxy-flame.svg")
TITLE = "The proxy under load, JPEG in and PNG out, before a Triton that answers at once"
FLAME_S = 20
FLAME_RATE_HZ = 250
FLAME_LATE_S = 60  # after its load


def main() -> None:
    """Measure, and write the record `proxy`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy", description="The proxy's own ceiling.")
    parser.add_argument("--clients", type=int, default=8, help="at once; default: %(default)s")
    parser.add_argument("--cycles", type=int, default=50, help="through the samples, a round; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="whose median counts; default: %(default)s")
    parser.add_argument("--flame", type=Path, nargs="?", const=FLAME, help=f"also draw a flame graph; {FLAME}")
    options = parser.parse_args()
    with (
        stand_in("benchmarks.instant_triton", "--port", ready="/v2/health/ready") as triton,
        proxy(triton.address, **SHIPPED) as started,
    ):
        figures = measure(started, options.clients, options.cycles, options.rounds)
        if options.flame:
            draw_flames(started, options.clients, options.flame)
        figures["stages_us"] = stages_us(triton, figures["png"]["cpu_us"], options.clients, options.cycles)
    command = made_by("bench-proxy")
    say(f"written: {write_record('proxy', command=command, figures=figures, settings=vars(options) | SHIPPED)}")


@contextmanager
def stand_in(*module: str, ready: str) -> Iterator[Server]:
    """Run one of our modules in the serving environment, on a port that is its last argument."""
    address = free_address()
    command: list[str | Path] = [serving_python(), "-m", *module, address.rpartition(":")[2]]
    with server(command, address=address, ready=ready) as started:
        yield started


def measure(started: Server, clients: int, cycles: int, rounds: int) -> dict[str, Any]:
    """Return the figures of each kind of answer; they take turns, after a warm-up."""
    for accept in ANSWERS.values():
        load_once(started, accept, clients, WARM_UP_CYCLES)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ANSWERS}
    for _ in range(rounds):
        for name, accept in ANSWERS.items():
            runs[name].append(load_once(started, accept, clients, cycles))
            say(f"{name}: {runs[name][-1]['cpu_us']:.0f} µs a request, {runs[name][-1]['answered_s']:.0f} answered/s")
    batches, tiles = (metrics(started)[name] for name in BATCHES)
    return {name: summary(each) for name, each in runs.items()} | {"batch_mean": round(tiles / batches, 2)}


def load_once(started: Server, accept: str, clients: int, cycles: int) -> dict[str, Any]:
    """Return one load's figures and the proxy's processor time for a request, in microseconds.

    Raises: LoadError where an answer is not 200.
    """
    bodies = jpeg_bodies(accept)
    before_s = cpu_s(started.pid)
    load = fixed_work(f"http://{started.address}/analyze", bodies, clients=clients, cycles=cycles)
    spent_s = cpu_s(started.pid) - before_s
    if load.refused or load.failed:
        raise LoadError(f"the proxy refused {load.refused} requests and failed {load.failed}: use fewer --clients")
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
    """Return the processor time of each step of a request for a PNG, and of the rest: middleware, metrics, logs, tasks.

    The steps are measured one by one, with warm caches and without company in a batch: the rest is just what is left.
    """
    command: list[str | Path] = [serving_python(), "-m", "benchmarks.proxy_stages", triton.address]
    steps: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    with stand_in("benchmarks.proxy_http", ready="/health/ready") as bare:
        steps["aiohttp"] = load_once(bare, PNG, clients, cycles)["cpu_us"]
    of_png = sum(time_us for step, time_us in steps.items() if step != "encode_json")
    return {**steps, "rest": round(total_us - of_png, 1)}


def draw_flames(started: Server, clients: int, path: Path) -> None:
    """Sample the proxy's stacks under load, and draw them.

    Raises: LoadError, ToolMissingError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    output: list[str | Path] = [
        "--format",
        "flamegraph",
        "--output",
        path,
        "--duration",
        str(FLAME_S),
        "--rate",
        str(FLAME_RATE_HZ),
    ]
    command: list[str | Path] = [
        find_tool("py-spy", "pip install py-spy"),
        "record",
        "--pid",
        str(started.pid),
        *output,
    ]
    with child(command, grace_s=FLAME_LATE_S, capture=True) as sampling:
        closed_loop(f"http://{started.address}/analyze", jpeg_bodies(PNG), clients=clients, seconds=FLAME_S)
        if first_of([sampling], timeout_s=FLAME_LATE_S) is None:
            raise LoadError(f"py-spy did not end in {FLAME_LATE_S} s: try again when the machine is quieter")
        told = sampling.output.read()
    if not path.is_file():
        raise LoadError(f"py-spy drew nothing, it may need more rights (root, or kernel.yama.ptrace_scope=0): {told}")
    path.write_text(path.read_text().replace(shlex.join(map(str, command)), TITLE))  # which has this machine's paths


if __name__ == "__main__":
    sys.exit(exit_status(main))
