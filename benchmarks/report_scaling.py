"""`make bench-report`, third part: the records → docs/scaling.md.

No figure is typed: each is read, computed or simulated. The words between them stand in scaling.md.template.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import scaling
from benchmarks.errors import exit_status, say
from benchmarks.markdown import milliseconds, picture, rate, share, source, table
from benchmarks.record import read_record
from benchmarks.samples import canvases, tile_files
from benchmarks.scaling import Costs

PAGE = Path("docs/scaling.md")
TEMPLATE = Path(__file__).with_name("scaling.md.template")
RECORDS = ("peers", "proxy")
TILES_A_DAY = (10**5, 10**6, 10**7, 10**8, 10**9)
PEAK = 2.0  # assumed: the busiest hour's tiles, times the mean hour's
REPLICAS = (1, 10, 100, 1000)
LOADS = (0.3, 0.6, 0.8, 0.9, 0.95)
IN_FLIGHT_EACH = (2, 3, 4, 8, 16, 32)
IN_FLIGHT_TRITONS = (2, 20, 200)
STARTS = (2, 10, 100, 1000)
JUMPS = (1.5, 2.0, 4.0)
WAITING_EACH = 4  # tiles for each Triton, as deploy/kubernetes has it
LINK_BYTES_S = 125e6  # of one gigabit a second
MEGA = 1e6


def render(records: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the page of these records, by name; None stands for one that is missing."""
    found = {name: record for name in RECORDS if (record := records.get(name)) is not None}
    missing = [f"*Not measured yet: `make bench-{name}`.*" for name in RECORDS if name not in found]
    if missing:
        return "# Scaling\n\n" + "\n\n".join(missing) + "\n"
    cost = scaling.costs(found["peers"], found["proxy"], [canvas.size for canvas in canvases()])
    return TEMPLATE.read_text().format(
        costs=costs_text(cost),
        sources="\n\n".join(source(record) for record in found.values()),
        sizes=sizes_text(cost),
        saturation=saturation_text(cost),
        queue=queue_text(cost),
        in_flight=in_flight_text(cost),
        surge=surge_text(cost),
        triton_cores=scaling.CORES,
        target=_percent(scaling.TARGET),
        fewest=scaling.FEWEST,
        peak=f"{PEAK:g}",
        start_s=scaling.START_S,
        metrics_s=scaling.METRICS_S,
        sync_s=scaling.SYNC_S,
        lag_s=scaling.START_S + scaling.METRICS_S,
        headroom=f"{1 / scaling.TARGET:.2f}",
        waiting_each=WAITING_EACH,
        arrivals=f"{scaling.ARRIVALS:,}",
    )


def costs_text(cost: Costs) -> str:
    """Return what a tile takes of a core, and what a core does a day."""
    rows = [
        (who, f"{1000 * core_s:.1f}", rate(1 / core_s), _millions(scaling.DAY_S / core_s), _millions(
            scaling.TARGET * scaling.DAY_S / core_s
        ))
        for who, core_s in (
            ("the whole service", cost.tile_s), ("of it Triton", cost.triton_s), ("of it the proxy", cost.proxy_s)
        )
    ]  # fmt: skip
    header = ["", "a tile, ms of one core", "tiles/s a core", "million tiles a day a core, full"]
    return table([*header, f"… {_percent(scaling.TARGET)} busy"], rows)


def _millions(tiles: float) -> str:
    return f"{tiles / MEGA:.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def sizes_text(cost: Costs) -> str:
    """Return replicas and cores by tiles a day."""
    rows = []
    for tiles in TILES_A_DAY:
        found = scaling.size(cost, tiles, PEAK)
        cores = scaling.CORES * found.tritons + found.proxies
        wire = rate(found.wire_bytes_s / MEGA)
        rows.append((f"{tiles:,}", rate(found.peak_s), found.tritons, found.proxies, cores, wire))
    header = ["tiles a day", "tiles/s at the busiest", "Tritons", "proxies", "cores in all", "MB/s between them"]
    return table(header, rows)


def saturation_text(cost: Costs) -> str:
    """Return what one unit of each resource bears, in tiles and in full cores of Triton."""
    uploads = sum(path.stat().st_size for path in tile_files()) / len(tile_files())
    units = (
        ("a core of Triton", 1 / cost.triton_s),
        ("1 Gbit/s between the proxy and Triton", LINK_BYTES_S / cost.wire_bytes),
        ("a core of the proxy", 1 / cost.proxy_s),
        ("1 Gbit/s of uploads", LINK_BYTES_S / uploads),
    )
    rows = [(what, rate(tiles_s), f"{tiles_s * cost.triton_s:.0f}") for what, tiles_s in units]
    return table(["", "tiles/s that it bears", "full cores of Triton that it feeds"], rows)


def queue_text(cost: Costs) -> str:
    """Return the latency by load for replicas that share one queue."""
    rows = []
    for load in LOADS:
        cells = []
        for replicas in REPLICAS:
            times_s = scaling.latencies_s(cost, instances=scaling.CORES * replicas, load=load)
            cells.append(" / ".join(milliseconds(1000 * times_s[int(part * len(times_s))]) for part in (0.5, 0.99)))
        rows.append((_percent(load), *cells))
    header = ["load", *(f"{replicas:,}" for replicas in REPLICAS)]
    words = "The slowest hundredth's latency against the load, for one to a thousand replicas"
    return "\n\n".join([table(header, rows), picture("scaling-queue", words)])


def in_flight_text(cost: Costs) -> str:
    """Return the share of the capacity that is reached by the batches in flight for each replica."""
    rows = [
        (each, *(share(scaling.reached(cost, tritons=n, in_flight=n * each)) for n in IN_FLIGHT_TRITONS))
        for each in IN_FLIGHT_EACH
    ]
    return table(["in flight for each Triton", *(f"{tritons:,} Tritons" for tritons in IN_FLIGHT_TRITONS)], rows)


def surge_text(cost: Costs) -> str:
    """Return what becomes of a load that jumps, by the autoscaler's reasons."""
    policies = {"processor time": None, f"and {WAITING_EACH} waiting tiles": WAITING_EACH}
    rows = []
    for jump in JUMPS:
        for tritons in STARTS:
            runs = [scaling.surge(cost, tritons=tritons, jump=jump, waiting_each=each) for each in policies.values()]
            cells = [cell for run in runs for cell in (_seconds(run.caught_up_s), share(run.refused), run.tritons[-1])]
            rows.append((f"× {jump:g}, from {tritons:,}", *cells))
    what = ("s to enough", "refused in 10 min", "Tritons then")
    header = ["the load, from Tritons", *(f"{policy}: {each}" for policy in policies for each in what)]
    words = "Load, capacity and refusals after a jump, second by second, for both reasons to add replicas"
    return "\n\n".join([table(header, rows), picture("scaling-surge", words)])


def _seconds(value: int | None) -> str:
    return "–" if value is None else str(value)


def main() -> None:
    """Write the page."""
    aside = PAGE.with_suffix(".part")
    aside.write_text(render({name: read_record(name) for name in RECORDS}))
    aside.replace(PAGE)
    say(f"written: {PAGE}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
