"""Ports for servers that this process starts on loopback: checks, benchmarks and tests."""

import itertools
import random
import socket

FIRST, LAST = 20_000, 32_000  # below 32768, from where on Linux takes the ports of outgoing connections
_ORDER = random.SystemRandom().sample(range(FIRST, LAST), LAST - FIRST)  # so that two processes at once differ
_untried = itertools.cycle(_ORDER)


def free_port() -> int:
    """Return a port of loopback on which nobody listens.

    No two calls of a process return the same port, before 12,000 are used up. A port that the kernel chooses (port 0)
    is no such promise: it may choose the same one again as soon as it is closed, or lend it to an outgoing connection.

    Raises: OSError, when none of them can be bound.
    """
    for port in itertools.islice(_untried, len(_ORDER)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"no port of loopback from {FIRST} to {LAST - 1} is free: end servers that listen there")
