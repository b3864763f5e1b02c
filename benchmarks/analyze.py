"""`make bench-analyze`: load on POST /analyze of the whole service, as `make serve` starts it.

Closed loops come first: they give the capacity, and the latency of few clients. Open loops follow at shares of that
capacity. They show how long independent clients wait, how many are refused, and how many are still answered.
"""

import argparse
import sys
from dataclasses import asdict
from typing import Any

from benchmarks.answers import found_masks
from benchmarks.errors import AnswerError, LoadError, exit_status, say
from benchmarks.load import closed_loop, open_loop
from benchmarks.record import write_record
from benchmarks.samples import JSON, PNG, jpeg_bodies
from benchmarks.servers import service

ALONE = 1
CLIENTS = (ALONE, 2, 4, 8, 16, 32)
SHARES = (0.3, 0.6, 0.9, 1.2, 2.0, 3.0)  # of the capacity
DEFAULT_ANSWER = JSON


def main() -> None:
    """Measure, and write the record `analyze`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analyze", description="Load on POST /analyze.")
    parser.add_argument("--seconds", type=float, default=20, help="seconds counted at each point; default: %(default)s")
    parser.add_argument(
        "--clients",
        type=int,
        nargs="+",
        default=CLIENTS,
        help="numbers of clients in closed loops; default: %(default)s",
    )
    parser.add_argument(
        "--shares",
        type=float,
        nargs="*",
        default=SHARES,
        help="shares of the capacity in open loops; default: %(default)s",
    )
    options = parser.parse_args()
    if ALONE not in options.clients:
        parser.error(f"--clients lacks {ALONE}: add it, the page tells the request path of one client alone")
    with service() as started:
        url = started.analyze_url
        found_masks(url)
        closed = {answer: closed_loops(url, answer, options.clients, options.seconds) for answer in (PNG, JSON)}
        capacity = max(point["answered_s"] for point in closed[DEFAULT_ANSWER])
        if not capacity:
            raise AnswerError("nothing was answered in time: raise --seconds")
        opened, left_out = open_loops(url, capacity, options.shares, options.seconds)
    figures = {"closed_loop": closed, "capacity_s": capacity, "open_loop": opened, "left_out": left_out}
    settings = {**vars(options), "open_loop_answer": DEFAULT_ANSWER, "tiles": len(jpeg_bodies(PNG))}
    write_record("analyze", figures=figures, settings=settings)


def closed_loops(url: str, answer: str, clients: list[int], seconds: float) -> list[dict[str, Any]]:
    """Measure with each number of clients; `answer` is a media type."""
    points = []
    for number in clients:
        load = closed_loop(url, jpeg_bodies(answer), clients=number, seconds=seconds)
        load.tell(f"closed loop, {answer}, {number} clients")
        points.append({"clients": number, **asdict(load)})
    return points


def open_loops(
    url: str, capacity: float, shares: list[float], seconds: float
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Measure at each share of the capacity (images per second). Also return the shares that failed, and why."""
    points: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for share in shares:
        rate = share * capacity
        try:
            load = open_loop(url, jpeg_bodies(DEFAULT_ANSWER), rate=rate, seconds=seconds)
        except LoadError as error:
            left_out[f"{share:g} times the capacity"] = str(error)
            say(f"open loop, {share:g} times the capacity, is left out: {error}")
        else:
            load.tell(f"open loop, {share:g} times the capacity")
            points.append({"share": share, "rate_s": round(rate, 2), **asdict(load)})
    return points, left_out


if __name__ == "__main__":
    sys.exit(exit_status(main))
