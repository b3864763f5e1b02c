"""One proxy before two real Tritons behind a balancer of connections, as a Service in Kubernetes is one."""

import asyncio
import contextlib
from collections import Counter

import pytest
from aiohttp import web
from proxy_servers import FakeTriton, png, running_proxy, texture, until

from proxy import readiness

BODY = png(texture(40, 50))
CLIENTS = 4


class Balancer:
    """Gives each connection to the next of its servers, and counts them."""

    def __init__(self, *urls):
        self.urls = list(urls)
        self.connections = dict.fromkeys(urls, 0)
        self.came = asyncio.Event()
        self._open = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for connection in self._open:
            connection.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def add(self, url):
        self.urls.append(url)
        self.connections[url] = 0

    async def has_dealt(self, count, *urls):
        """Wait until each of these servers was given so many connections."""
        async with asyncio.timeout(60):
            while min(self.connections[url] for url in urls) < count:
                self.came.clear()
                await self.came.wait()

    async def _serve(self, reader, writer):
        self._open.add(connection := asyncio.current_task())
        connection.add_done_callback(self._open.discard)
        url = self.urls.pop(0)
        self.urls.append(url)
        self.connections[url] += 1
        self.came.set()
        host, _, port = url.partition(":")
        behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):  # asyncio itself trips over a cancelled one
            await asyncio.gather(pass_on(reader, behind_writer), pass_on(behind_reader, writer))


async def pass_on(reader, writer):
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.mark.parametrize(("how", "each"), [("kept", 0), ("fresh", 3)])
async def test_fresh_connections_are_dealt_out_where_kept_ones_are_not(how, each):
    async with (
        FakeTriton() as first,
        FakeTriton() as second,
        Balancer(first.url, second.url) as balancer,
        running_proxy(balancer.url, triton_connections=how) as proxy,
    ):
        before = dict(balancer.connections)
        for _ in range(6):
            await proxy.analysis(BODY)
        assert {url: before[url] + each for url in before} == balancer.connections


async def test_one_triton_of_two_that_is_away_fails_its_own_share_and_no_other(monkeypatch):
    monkeypatch.setattr(readiness, "ANSWER_COUNTS_S", 60)
    async with two_tritons() as (_, second, proxy):
        await proxy.analysis(BODY)
        second.away = True
        said = Counter([await said_of(proxy) for _ in range(20)])
        assert {"a mask", "Triton is away"} == said.keys()
        assert proxy.is_ready()


async def test_one_triton_of_two_that_hangs_takes_no_answer_of_the_other_one_away(monkeypatch):
    monkeypatch.setattr(readiness, "ANSWER_COUNTS_S", 60)
    async with two_tritons(triton_timeout_s=0.2) as (_, second, proxy):
        await proxy.analysis(BODY)
        second.hangs = True
        said = Counter([await said_of(proxy) for _ in range(8)])
        assert {"a mask", "Triton is slow"} == said.keys()
        assert [True, True] == [await proxy.check() for _ in range(2)]  # one of them meets the second


async def test_one_triton_of_two_that_answers_with_errors_takes_no_answer_of_the_other_one_away(monkeypatch):
    monkeypatch.setattr(readiness, "ANSWER_COUNTS_S", 60)
    async with two_tritons() as (_, second, proxy):
        await proxy.analysis(BODY)
        second.answer = lambda _: web.json_response({"error": "out of memory"}, status=500)
        said = Counter([await said_of(proxy) for _ in range(8)])
        assert {"a mask", "Wrong answer from Triton"} == said.keys()
        assert [True, True] == [await proxy.check() for _ in range(2)]  # one of them meets the second


async def test_while_two_models_answer_not_each_answer_makes_a_check(monkeypatch):
    monkeypatch.setattr(readiness, "FIRST_RETRY_S", 60)
    async with two_tritons() as (first, second, proxy):
        second.config["parameters"]["model.digest"]["string_value"] = "e2" * 32
        for _ in range(10):
            await proxy.analysis(BODY)
        assert first.described + second.described <= 2  # its own first one, and the test's


async def test_the_proxy_refuses_once_no_triton_is_there(monkeypatch):
    monkeypatch.setattr(readiness, "ANSWER_COUNTS_S", 0.1)
    async with two_tritons() as (first, second, proxy):
        await proxy.analysis(BODY)
        first.away = second.away = True
        await said_of(proxy)

        async def is_refused():
            return "Not ready" == await said_of(proxy)

        await until(is_refused)


@contextlib.asynccontextmanager
async def two_tritons(**settings):
    """Two Tritons that a balancer takes in turn, and a proxy with a fresh connection for each batch."""
    async with (
        FakeTriton() as first,
        FakeTriton() as second,
        Balancer(first.url, second.url) as balancer,
        running_proxy(balancer.url, triton_connections="fresh", **settings) as proxy,
    ):
        yield first, second, proxy


async def said_of(proxy):
    async with proxy.post(BODY) as response:
        return "a mask" if response.status == 200 else (await response.json(content_type=None))["title"]


@pytest.mark.slow
async def test_no_request_is_lost_while_each_triton_is_replaced_in_turn(start_triton, served_repository):
    async def start():
        return await asyncio.to_thread(start_triton, served_repository, MODEL_INSTANCES="1")

    tritons = await asyncio.gather(start(), start())
    async with Balancer(*(triton.url for triton in tritons)) as balancer:
        settings = {"triton_connections": "fresh", "in_flight_batches": CLIENTS, "connections": 0}
        async with running_proxy(balancer.url, **settings) as proxy:
            posting, statuses = True, []

            async def post():
                while posting:
                    async with proxy.post(BODY) as response:
                        statuses.append(response.status)

            clients = [asyncio.create_task(post()) for _ in range(CLIENTS)]
            for leaving in tritons:
                joining = await start()
                balancer.add(joining.url)
                await balancer.has_dealt(CLIENTS, leaving.url, joining.url)
                balancer.urls.remove(leaving.url)  # what `preStop` gives everybody time for
                assert 0 == await asyncio.to_thread(leaving.stop)
            posting = False
            await asyncio.gather(*clients)
    assert {200} == set(statuses)
