"""One client's latency against that of the network alone: what the service adds where nobody waits for anybody."""

from typing import Any

from benchmarks.errors import say
from benchmarks.peers.contenders import Contender
from benchmarks.peers.ratios import spread

# One instance has one thread (MODEL_THREADS), and one client's tile is in one instance.
ONE_SESSION = {"workers": 1, "threads": 1}


def latency_alone(limit: Contender, ours: Contender, *, rounds: int, cycles: int) -> dict[str, Any]:
    """Measure both once a round; `cycles` over the samples each.

    Return each one's milliseconds an image, round by round, and least, median and greatest of their ratios.
    """
    found = []
    for number in range(rounds):
        with limit.start(ONE_SESSION) as running:
            network_ms = 1000 / running.measure(1, cycles).images_s
        with ours.start({}) as running:
            service_ms = running.measure(1, cycles).latency_ms["mean"]
        say(f"round {number + 1} of {rounds}, one client: {network_ms:.1f} ms alone, {service_ms:.1f} ms served")
        found.append((round(network_ms, 3), service_ms))
    network, service = ([pair[place] for pair in found] for place in (0, 1))
    return {"network_ms": network, "service_ms": service, "ratio": spread(service, network)}
