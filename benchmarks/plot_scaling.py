"""`make bench-report`, fourth part: the simulations of scaling.py as docs/images/bench-scaling-….svg."""

import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import scaling
from benchmarks.charts import COLOURS, finish, line, new_figure, save
from benchmarks.errors import exit_status, say
from benchmarks.plots import FOLDER
from benchmarks.record import read_record
from benchmarks.report_scaling import JUMPS, RECORDS, REPLICAS, WAITING_EACH
from benchmarks.samples import canvases
from benchmarks.scaling import Costs

LOADS = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
TRITONS = 10  # before the jump


def main() -> None:
    """Draw both, where what they stand on was measured."""
    records = [read_record(name) for name in RECORDS]
    peers, proxy = records
    if peers is None or proxy is None:
        say("bench-scaling-*.svg are left as they are: `make bench-peers` or `make bench-proxy` was not run")
        return
    cost = scaling.costs(peers, proxy, [canvas.size for canvas in canvases()])
    for name, draw in (("queue", draw_queue), ("surge", draw_surge)):
        figure = new_figure()
        draw(cost, figure.axes)
        save(figure, FOLDER / f"bench-scaling-{name}.svg")


def draw_queue(cost: Costs, axes: Sequence[Any]) -> None:
    """Latency against load."""
    for axis, part, name in ((axes[0], 0.5, "median"), (axes[1], 0.99, "p99")):
        for style, replicas in enumerate(REPLICAS):
            values: list[float | None] = []
            for load in LOADS:
                times_s = scaling.latencies_s(cost, instances=scaling.CORES * replicas, load=load)
                values.append(1000 * times_s[int(part * len(times_s))])
            many = f"{replicas:,} replicas, one queue"
            label = "1 replica, or any number by chance" if replicas == 1 else many
            line(axis, [100 * load for load in LOADS], values, label, style)
        finish(axis, "load, % of the capacity", f"latency, {name}, ms")


def draw_surge(cost: Costs, axes: Sequence[Any]) -> None:
    """Capacity and refusals after the greatest jump."""
    jump = JUMPS[-1]
    policies = {"processor time": None, "and waiting tiles": WAITING_EACH}
    for number, (name, each) in enumerate(policies.items()):
        run = scaling.surge(cost, tritons=TRITONS, jump=jump, waiting_each=each)
        seconds = range(len(run.capacity_s))
        axes[0].plot(seconds, run.capacity_s, label=f"capacity, {name}", color=COLOURS[number])
        refused = [100 * value / run.load_s for value in run.refused_s]
        axes[1].plot(seconds, refused, label=name, color=COLOURS[number])
        load_s = run.load_s
    axes[0].axhline(load_s, color="grey", linewidth=0.8, linestyle="--", label=f"load, × {jump:g}")
    finish(axes[0], f"seconds after the jump, from {TRITONS} Tritons", "tiles/s")
    finish(axes[1], "seconds after the jump", "refused, % of the arrivals")


if __name__ == "__main__":
    sys.exit(exit_status(main))
