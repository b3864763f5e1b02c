"""Ports for the servers that tests start."""

import itertools
import random
import socket

FIRST, LAST = 20_000, 32_000  # below 32768, from where on Linux takes the ports of outgoing connections
_shuffled = itertools.cycle(random.sample(range(FIRST, LAST), LAST - FIRST))  # so that two test runs at once differ


def free_port() -> int:
    """Return a port of loopback on which nobody listens, and which this run has not given to another server."""
    for port in _shuffled:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("an endless cycle has ended")
