"""How many replicas a load wants, and what they do with it: computed and simulated from what was measured.

What a tile costs is read from the records `peers` and `proxy`. Waiting is simulated tile by tile, first come, first
served; autoscaling second by second, where a tile more or less does not matter. Each is one loop, which a library of
discrete events would not make shorter.

Source of the autoscaler's rules: Kubernetes' documentation of the HorizontalPodAutoscaler.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

DAY_S = 86_400
CORES = 2  # of one Triton, as in deploy/kubernetes, one instance each
TARGET = 0.6  # of the processor time, as there
FEWEST = 2  # of either server, as there
QUEUE_LIMIT = 64  # the proxy's default
START_S = 60  # assumed: from the autoscaler's word to a Triton that answers, on a node that is there
METRICS_S = 30  # assumed: how old the figures are that the autoscaler sees
SYNC_S = 15  # Kubernetes' default, between two looks of the autoscaler
AT_ONCE = 4  # pods that may be added at each look, or as many as there are, as in deploy/kubernetes
ARRIVALS = 60_000  # simulated for each point
SEED = 1


@dataclass(frozen=True)
class Costs:
    """What a tile takes, in seconds of one core, and bytes between the proxy and Triton.

    tile_s: of the whole service. proxy_s: the proxy's share, JSON out. canvas_pixels: of each sample.
    """

    tile_s: float
    proxy_s: float
    canvas_pixels: Sequence[int]

    @property
    def triton_s(self) -> float:
        """Return what is not the proxy's; it has the load tool's time in it, which ran on the same cores."""
        return self.tile_s - self.proxy_s

    @property
    def replica_tiles_s(self) -> float:
        """Return what one Triton answers a second when it is full."""
        return CORES / self.triton_s

    @property
    def wire_bytes(self) -> float:
        """Return a mean tile's bytes between the proxy and Triton: the canvas there, two tensors of its size back."""
        return 3 * sum(self.canvas_pixels) / len(self.canvas_pixels)


def costs(peers: Mapping[str, Any], proxy: Mapping[str, Any], canvas_pixels: Sequence[int]) -> Costs:
    """Read the costs from the two records."""
    images_s = peers["figures"]["contenders"]["ours_json"]["images_s"]
    return Costs(
        tile_s=peers["machine"]["usable_cores"] / images_s,
        proxy_s=proxy["figures"]["json"]["cpu_us"] / 1e6,
        canvas_pixels=canvas_pixels,
    )


class Size(NamedTuple):
    """What a load wants: tiles a second at the busiest hour, replicas of both, and bytes a second between them."""

    peak_s: float
    tritons: int
    proxies: int
    wire_bytes_s: float


def size(cost: Costs, tiles_a_day: float, peak: float) -> Size:
    """Return the replicas for so many tiles a day, of which the busiest hour has `peak` times the mean."""
    peak_s = peak * tiles_a_day / DAY_S
    return Size(
        peak_s=peak_s,
        tritons=max(FEWEST, math.ceil(peak_s / (TARGET * cost.replica_tiles_s))),
        proxies=proxies_for(cost, peak_s),
        wire_bytes_s=peak_s * cost.wire_bytes,
    )


def proxies_for(cost: Costs, tiles_s: float) -> int:
    """Return how many proxies, of one core each, so many tiles a second keep busy to the target."""
    return max(FEWEST, math.ceil(tiles_s * cost.proxy_s / TARGET))


def latencies_s(cost: Costs, *, instances: int, load: float) -> list[float]:
    """Return each tile's seconds from arrival to answer, before instances that share one queue.

    load: arrivals as a share of what the instances can answer, below 1. They form a Poisson process; each tile takes
    what its pixels take.
    """
    chance = random.Random(SEED)  # noqa: S311 a simulation: the same page each time
    mean_pixels = sum(cost.canvas_pixels) / len(cost.canvas_pixels)
    times_s = [cost.triton_s * pixels / mean_pixels for pixels in cost.canvas_pixels]
    rate = load * instances / cost.triton_s
    free = [0.0] * instances  # when each is
    now, found = 0.0, []
    for takes_s in chance.choices(times_s, k=ARRIVALS):
        now += chance.expovariate(rate)
        end = max(now, free[0]) + takes_s
        heapq.heapreplace(free, end)
        found.append(end - now)
    return sorted(found[ARRIVALS // 10 :])  # an empty start is not counted


def reached(cost: Costs, *, tritons: int, in_flight: int) -> float:
    """Return the share of their capacity that replicas reach when each batch goes to one of them by chance.

    in_flight: batches at all of them together, never more and, under overload, never fewer. Chance leaves some replica
    idle while others have a queue.
    """
    chance = random.Random(SEED)  # noqa: S311 a simulation: the same page each time
    mean_pixels = sum(cost.canvas_pixels) / len(cost.canvas_pixels)
    free = [[0.0] * CORES for _ in range(tritons)]  # when each instance of each replica is
    ends = [0.0] * in_flight  # of the batches in flight: when one has ended, the next goes
    sent = []
    for pixels in chance.choices(cost.canvas_pixels, k=ARRIVALS + 10 * in_flight):
        sent.append(ends[0])
        instances = chance.choice(free)
        end = max(ends[0], instances[0]) + cost.triton_s * pixels / mean_pixels
        heapq.heapreplace(instances, end)
        heapq.heapreplace(ends, end)
    half = len(sent) // 2  # from then on as many end as are sent
    return (len(sent) - 1 - half) / (sent[-1] - sent[half]) / (tritons * cost.replica_tiles_s)


@dataclass(frozen=True)
class Surge:
    """A load that jumps, and what became of it second by second, from the jump on."""

    load_s: float  # tiles a second after the jump
    capacity_s: list[float]  # tiles a second that the ready replicas can answer
    waiting: list[float]  # tiles
    refused_s: list[float]
    tritons: list[int]  # ready

    @property
    def caught_up_s(self) -> int | None:
        """Return after how many seconds the capacity is above the load for the first time."""
        return next((second for second, can in enumerate(self.capacity_s) if can >= self.load_s), None)

    @property
    def refused(self) -> float:
        """Return the share that was refused of the tiles of the whole time."""
        return sum(self.refused_s) / (self.load_s * len(self.refused_s))


def surge(
    cost: Costs, *, tritons: int, jump: float, waiting_each: float | None, most: int | None = None, seconds: int = 600
) -> Surge:
    """Let the load jump from the target utilisation of `tritons` replicas to `jump` times as much.

    waiting_each: tiles that may wait for each replica before the autoscaler wants more; None: it looks at processor
    time alone. most: replicas that there may be.
    """
    load_s = jump * TARGET * tritons * cost.replica_tiles_s
    limit = QUEUE_LIMIT * proxies_for(cost, load_s / jump)
    most = most or 10 * tritons
    ready, wanted, waiting = tritons, tritons, 0.0
    starting: deque[tuple[int, int]] = deque()  # when, and how many
    seen: deque[tuple[float, float]] = deque([(TARGET * tritons, 0.0)] * METRICS_S)  # busy replicas, waiting tiles
    run = Surge(load_s, [], [], [], [])
    for second in range(seconds):
        while starting and starting[0][0] <= second:
            ready += starting.popleft()[1]
        can_s = ready * cost.replica_tiles_s
        waiting += load_s - can_s
        refused = max(0.0, waiting - limit)
        waiting = min(limit, max(0.0, waiting))
        busy = min(ready, (load_s - refused) / cost.replica_tiles_s) if waiting == 0 else ready
        seen.append((busy, waiting))
        old_busy, old_waiting = seen.popleft()
        if second % SYNC_S == 0:
            by_time = math.ceil(old_busy / TARGET)
            by_waiting = math.ceil(old_waiting / waiting_each) if waiting_each else 0
            allowed = min(most, wanted + max(wanted, AT_ONCE))
            more = min(allowed, max(by_time, by_waiting)) - wanted
            if more > 0:
                wanted += more
                starting.append((second + START_S, more))
        for values, value in ((run.capacity_s, can_s), (run.waiting, waiting), (run.refused_s, refused)):
            values.append(value)
        run.tritons.append(ready)
    return run
