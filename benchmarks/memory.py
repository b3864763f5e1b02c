"""`make bench-memory`: what Triton and the proxy hold in memory, idle and on the way to ten thousand images."""

import argparse
import sys
import time
from typing import Any

from benchmarks.answers import JSON
from benchmarks.errors import exit_status, say
from benchmarks.load import closed_loop
from benchmarks.processes import memory_mib, memory_mib_by_role
from benchmarks.record import made_by, write_record
from benchmarks.samples import jpeg_bodies
from benchmarks.servers import Server, metrics, service

ROLES = {  # what stands in a process's command line
    "tritonserver": "/bin/tritonserver",
    "model instances": "triton_python_backend_stub",
    "proxy": "-m proxy",
}


def main() -> None:
    """Measure, and write the record `memory`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Memory of the whole service.")
    parser.add_argument("--images", type=int, default=10_000, help="to be answered in all; default: %(default)s")
    parser.add_argument("--clients", type=int, default=8, help="that post at once; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=30, help="between two looks; default: %(default)s")
    parser.add_argument("--minutes", type=float, default=11, help="to end after, anyway; default: %(default)s")
    options = parser.parse_args()
    deadline_s = time.monotonic() + 60 * options.minutes
    with service() as started:
        points = [look(started)]
        while points[-1]["images"] < options.images and time.monotonic() < deadline_s:
            url = f"http://{started.address}/analyze"
            closed_loop(url, jpeg_bodies(JSON), clients=options.clients, seconds=options.seconds)
            points.append(look(started))
        roles = memory_mib_by_role(started.pid, ROLES)
    figures = {"points": points, "by_role": roles}
    say(f"written: {write_record('memory', command=made_by('bench-memory'), figures=figures, settings=vars(options))}")


def look(started: Server) -> dict[str, Any]:
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
