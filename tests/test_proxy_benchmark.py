"""The Triton of the proxy's benchmark: it costs nothing, yet what the proxy makes of its answers is a mask."""

import asyncio
import contextlib
import io

import numpy as np
import pytest
from PIL import Image
from proxy_servers import png, running_proxy

from benchmarks.instant_triton import Connection, InstantTriton, segmented_samples
from tiles import crop


@contextlib.asynccontextmanager
async def instant_triton(segmented):
    """The server on a free port; yields host:port."""
    triton = InstantTriton(segmented)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(triton), "127.0.0.1", 0)
    async with server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


@pytest.mark.parametrize("clients", [1, 20])
async def test_the_proxy_answers_with_the_true_mask_of_a_sample_of_that_size(clients):
    segmented = segmented_samples()
    shape, answers = next(iter(segmented.items()))
    expected = [crop(probability, *shape[1:]) >= 32 for probability, _ in answers]
    body = png(np.zeros(shape[1:], np.uint8))
    async with instant_triton(segmented) as url, running_proxy(url, connections=0) as proxy:

        async def post():
            async with proxy.post(body, Accept="image/png") as response:
                assert 200 == response.status
                return np.asarray(Image.open(io.BytesIO(await response.read())))

        for mask in await asyncio.gather(*(post() for _ in range(clients))):
            assert any(np.array_equal(mask, each) for each in expected)


async def test_a_size_that_no_sample_has_is_a_tile_without_a_defect():
    async with instant_triton({}) as url, running_proxy(url) as proxy:
        answer = await proxy.analysis(png(np.zeros((40, 70), np.uint8)))
    assert (False, 0, 70, 40) == (answer["defective"], answer["score"], answer["width"], answer["height"])
