"""The number of replicas that a load needs, by one formula.

    replicas = arrivals per second × seconds of a core per image ÷ (cores of a replica × target utilisation)

It assumes that twice the cores serve twice the images, that arrivals are those of the busiest hour, and that they are
spread evenly over the replicas. Cores and target are those of deploy/kubernetes.
"""

import math
from collections.abc import Mapping
from typing import Any

CORES = {"triton": 2, "proxy": 1}  # of one replica
TARGET_UTILISATION = 0.6  # above it, images wait for each other: see the latencies under "Overload"
FEWEST = 2  # of Triton and of the proxy, so that one can fail


def replicas(arrivals_s: float, core_s: float, cores: int) -> int:
    """Return the replicas for so many images per second, each of which takes `core_s` seconds of a core."""
    return max(FEWEST, math.ceil(arrivals_s * core_s / (cores * TARGET_UTILISATION)))


def core_seconds(peers: Mapping[str, Any], proxy: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of a core that an image takes in Triton and in the proxy, JSON out, from the two records.

    Triton's are the whole service's less the proxy's: they include the load tool's, which ran on the same cores.
    """
    whole_s = peers["machine"]["usable_cores"] / peers["figures"]["contenders"]["ours_json"]["images_s"]
    proxy_s = proxy["figures"]["json"]["cpu_us"] / 1e6
    return {"triton": whole_s - proxy_s, "proxy": proxy_s}
