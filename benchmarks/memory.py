"""`make bench-memory`: the memory of Triton and the proxy, idle and until they have answered ten thousand images."""

import argparse
import sys
import time
from typing import Any

from benchmarks.errors import exit_status, say
from benchmarks.load import closed_loop
from benchmarks.processes import memory_mib, memory_mib_by_role
from benchmarks.record import write_record
from benchmarks.samples import JSON, jpeg_bodies
from benchmarks.servers import Server, metrics, service

ROLES = {  # words in a process's command line
    "tritonserver": "/bin/tritonserver",
    "model instances": "triton_python_backend_stub",
    "proxy": "-m proxy",
}


def main() -> None:
    """Measure, and write the record `memory`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Memory of the whole service.")
    parser.add_argument("--images", type=int, default=10_000, help="images to answer in all; default: %(default)s")
    parser.add_argument("--clients", type=int, default=8, help="clients that post at once; default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=30, help="seconds between two measurements; default: %(default)s"
    )
    parser.add_argument(
        "--minutes", type=float, default=11, help="minutes after which it ends in any case; default: %(default)s"
    )
    options = parser.parse_args()
    deadline_s = time.monotonic() + 60 * options.minutes
    with service() as started:
        points = [measure(started)]
        while points[-1]["images"] < options.images and time.monotonic() < deadline_s:
            closed_loop(started.analyze_url, jpeg_bodies(JSON), clients=options.clients, seconds=options.seconds)
            points.append(measure(started))
        roles = memory_mib_by_role(started.pid, ROLES)
    write_record("memory", figures={"points": points, "by_role": roles}, settings=vars(options))


def measure(started: Server) -> dict[str, Any]:
    """Return how many images were answered so far, and the memory in MiB."""
    answered = sum(
        value
        for name, value in metrics(started).items()
        if name.startswith("proxy_requests_total{") and "/analyze" in name and 'status="200"' in name
    )
    point = {"images": int(answered), **memory_mib(started.pid)}
    say(", ".join(f"{name}: {value}" for name, value in point.items()))
    return point


if __name__ == "__main__":
    sys.exit(exit_status(main))
