"""Overload of the real service. Pass figures, at 3 and 10 times the capacity, by an open loop:

goodput at least 0.95 of the capacity for images of tiles and 0.9 for those of 4 megapixels; refusals in 50 ms (p99).
"""

import io

import numpy as np
import pytest
from open_loop import Client
from PIL import Image
from proxy_servers import SAMPLES, until

from tests.ports import free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
REFUSAL_S = 0.05


def tiles():
    return [path.read_bytes() for path in sorted(SAMPLES.glob("*/Imgs/*.jpg"))]


def large():
    photograph = Image.open(min(SAMPLES.glob("*/Imgs/*.jpg"))).convert("L").resize((2048, 2048))
    file = io.BytesIO()
    photograph.save(file, "JPEG", quality=90)
    return [file.getvalue()]


CASES = {
    "tiles at 3 times": (tiles, 3, 30, 0.95, 20),
    "tiles at 10 times": (tiles, 10, 30, 0.95, 20),
    "tiles at 10 times for clients that wait 2 s": (tiles, 10, 2, 0.95, 20),
    "4 megapixels at 3 times": (large, 3, 30, 0.9, 40),
    "4 megapixels at 10 times": (large, 10, 30, 0.9, 40),
}


@pytest.fixture(scope="module")
def capacities():
    return {}


@pytest.fixture(scope="module")
def port(start_service, triton):
    port = free_port()
    proxy = start_service("proxy", PORT=str(port), TRITON_URL=triton.url, LOG_LEVEL="WARNING")
    yield port
    proxy.stop()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_overload_leaves_the_capacity_to_those_that_are_admitted(port, capacities, case):
    bodies, times, patience_s, must, seconds = case

    async def answers():
        client = Client(port, tiles())
        await client.ask(30)
        client.close()
        return client.outcome.answered_at

    await until(answers, 60)
    if bodies not in capacities:
        client = Client(port, bodies())
        capacities[bodies] = await client.closed_loop(4, seconds)
        client.close()
    client = Client(port, bodies())
    goodput = await client.open_loop(times * capacities[bodies], seconds, patience_s)
    client.close()
    share, refusal_s = goodput / capacities[bodies], float(np.percentile(client.outcome.refused_s, 99))
    print(f"\n{bodies.__name__} x{times}, patience {patience_s} s: {goodput:.2f}/s, {share:.3f} of the capacity;")  # noqa: T201
    print(f"{len(client.outcome.refused_s)} refused, p99 {1000 * refusal_s:.1f} ms, {client.outcome.left} left")  # noqa: T201
    assert not client.outcome.failed
    assert share >= must
    assert refusal_s <= REFUSAL_S
