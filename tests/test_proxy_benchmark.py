"""The benchmarks' fake Triton: it takes the time that it was given, and the proxy makes true masks of its answers."""

import asyncio
import contextlib
import io

import numpy as np
import pytest
from aiohttp.test_utils import TestServer
from PIL import Image
from proxy_servers import png, running_proxy

from benchmarks.fake_triton import FakeTriton, make_app, true_masks
from proxy.contract import read_contract
from tiles import crop


@contextlib.asynccontextmanager
async def fake_triton(masks, **costs):
    """The server on a free port; yields host:port."""
    async with TestServer(make_app(FakeTriton(masks, **costs))) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("clients", [1, 20])
async def test_the_proxy_answers_with_the_true_mask_of_a_sample_of_that_size(clients):
    masks = true_masks()
    shape, answers = next(iter(masks.items()))
    expected = [crop(probability, *shape[1:]) >= 32 for probability, _ in answers]
    body = png(np.zeros(shape[1:], np.uint8))
    async with fake_triton(masks) as url, running_proxy(url, connections=0) as proxy:

        async def post():
            async with proxy.post(body, Accept="image/png") as response:
                assert 200 == response.status
                return np.asarray(Image.open(io.BytesIO(await response.read())))

        for mask in await asyncio.gather(*(post() for _ in range(clients))):
            assert any(np.array_equal(mask, each) for each in expected)


async def test_a_size_that_no_sample_has_is_an_image_without_a_defect():
    async with fake_triton({}) as url, running_proxy(url) as proxy:
        answer = await proxy.analysis(png(np.zeros((40, 70), np.uint8)))
    assert (False, 0, 70, 40) == (answer["defective"], answer["score"], answer["width"], answer["height"])


async def test_its_configuration_keeps_the_proxys_contract():
    triton = FakeTriton({}, instances=3, max_batch_size=5)
    contract = read_contract({"versions": ["1"]}, triton.config)
    assert (5, 3) == (contract.max_batch_size, contract.instances)


@pytest.mark.parametrize("instances", [1, 2])
async def test_an_instance_runs_one_batch_at_a_time_and_takes_the_time_that_it_was_given(instances, monkeypatch):
    triton = FakeTriton({}, batch_ms=20, image_ms=5, instances=instances)
    busy, most, times_s, sleep = 0, 0, [], asyncio.sleep

    async def busy_for(seconds):
        nonlocal busy, most
        times_s.append(seconds)
        busy += 1
        most = max(most, busy)
        for _ in range(10):
            await sleep(0)  # the others could begin
        busy -= 1

    monkeypatch.setattr(asyncio, "sleep", busy_for)
    await asyncio.gather(*(triton.compute(8) for _ in range(4)))
    assert instances == most
    assert 4 * [0.06] == pytest.approx(times_s)


async def test_without_costs_it_answers_at_once_however_many_ask():
    triton = FakeTriton({}, instances=1)
    async with asyncio.timeout(1):
        await asyncio.gather(*(triton.compute(8) for _ in range(1000)))
