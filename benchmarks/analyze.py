"""`make bench-analyze`: load on POST /analyze of the whole service, as `make serve` starts it.

First closed loops, for the capacity and the latency of few clients; then open loops at shares of that capacity, for
what happens when strangers ask: how long they wait, how many are refused, how many answers are still given.
"""

import argparse
import sys
from typing import Any

from benchmarks.answers import JSON, PNG, found_masks
from benchmarks.errors import AnswerError, LoadError, exit_status, say
from benchmarks.load import Load, closed_loop, open_loop
from benchmarks.record import made_by, write_record
from benchmarks.samples import jpeg_bodies
from benchmarks.servers import service

CLIENTS = (1, 2, 4, 8, 16, 32)
SHARES = (0.3, 0.6, 0.9, 1.2, 2.0, 3.0)  # of the capacity
DEFAULT_ANSWER = JSON


def main() -> None:
    """Measure, and write the record `analyze`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analyze", description="Load on POST /analyze.")
    parser.add_argument("--seconds", type=float, default=20, help="that each point is counted; default: %(default)s")
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="closed loop; default: %(default)s")
    parser.add_argument("--shares", type=float, nargs="*", default=SHARES, help="open loop; default: %(default)s")
    options = parser.parse_args()
    with service() as started:
        url = f"http://{started.address}/analyze"
        found_masks(url)
        closed = {answer: closed_loops(url, answer, options.clients, options.seconds) for answer in (PNG, JSON)}
        capacity = max(point["answered_s"] for point in closed[DEFAULT_ANSWER])
        if not capacity:
            raise AnswerError("nothing was answered in time: give --seconds more of them")
        opened, left_out = open_loops(url, capacity, options.shares, options.seconds)
    figures = {"closed_loop": closed, "capacity_s": capacity, "open_loop": opened, "left_out": left_out}
    settings = {**vars(options), "open_loop_answer": DEFAULT_ANSWER, "tiles": len(jpeg_bodies(PNG))}
    say(f"written: {write_record('analyze', command=made_by('bench-analyze'), figures=figures, settings=settings)}")


def closed_loops(url: str, answer: str, clients: list[int], seconds: float) -> list[dict[str, Any]]:
    """Measure with each number of clients; `answer` is a media type."""
    points = []
    for number in clients:
        load = closed_loop(url, jpeg_bodies(answer), clients=number, seconds=seconds)
        tell(f"closed loop, {answer}, {number} clients", load)
        points.append({"clients": number, **load.figures()})
    return points


def open_loops(
    url: str, capacity: float, shares: list[float], seconds: float
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Measure at each share of the capacity, which is in images a second; say which could not be made, and why."""
    points: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for share in shares:
        try:
            load = open_loop(url, jpeg_bodies(DEFAULT_ANSWER), rate=share * capacity, seconds=seconds)
        except LoadError as error:
            left_out[f"{share:g} times the capacity"] = str(error)
            say(f"open loop, {share:g} of the capacity, is left out: {error}")
            continue
        tell(f"open loop, {share:g} of the capacity", load)
        points.append({"share": share, "rate_s": round(share * capacity, 2), **load.figures()})
    return points, left_out


def tell(what: str, load: Load) -> None:
    """Say how a point went."""
    latency = ", ".join(f"{name} {value:.0f} ms" for name, value in load.latency_ms.items())
    say(f"{what}: {load.answered_s:.1f}/s answered, {load.refused} refused, {load.failed} failed; {latency}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
