"""Several proxies behind the front proxy: the real HAProxy with deploy/front/haproxy.cfg before two `python -m proxy`.

It needs the program `haproxy`: on the path, or named by HAPROXY. containers.py tests the same in containers.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
import subprocess

import pytest
from aiohttp import ClientSession, TCPConnector
from conftest import ROOT
from proxy_servers import FakeTriton, png, texture, until

from host.ports import free_port
from tests.certificates import certificate

HAPROXY = os.environ.get("HAPROXY") or shutil.which("haproxy")
ADDRESSES = ("127.0.0.2", "127.0.0.3")  # of the proxies: one name, one port, as a container engine has it
BODY = png(texture(32, 40))
POST = {"method": "POST", "data": BODY, "headers": {"Content-Type": "image/png"}}
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # a client's preface and its empty SETTINGS
pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


class NameServer(asyncio.DatagramProtocol):
    """Answers every question with the addresses of the proxies, as a container engine's DNS does."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        question = data[12 : data.index(b"\0", 12) + 5]  # the name, its type, its class
        records = b"".join(
            b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + bytes(map(int, address.split("."))) for address in ADDRESSES
        )
        if question[-4:-2] != b"\0\1":  # only IPv4 addresses are known
            records = b""
        head = data[:2] + b"\x81\x80\0\1" + (len(ADDRESSES) if records else 0).to_bytes(2, "big") + bytes(4)
        self.transport.sendto(head + question + records, sender)


class Front:
    """The address of the front proxy, the processes of the proxies behind it, their Triton, and a client."""

    def __init__(self, url, proxies, triton, session):
        self.url, self.proxies, self.triton, self.session = url, proxies, triton, session

    async def status(self, path="/", **options):
        async with self.session.request(options.pop("method", "GET"), self.url + path, **options) as response:
            await response.read()
            return response.status

    def answered(self, route="/", status=200):
        """How many times each proxy has answered so; by default the page."""
        return [proxy.said.count(f"route={route} status={status}") for proxy in self.proxies]


@contextlib.asynccontextmanager
async def running_haproxy(folder, proxies_port, **more):
    """HAProxy with our configuration, on ports and with a name server of the test's own; `more` of its variables."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    port, names = free_port(), transport.get_extra_info("sockname")[1]
    text = (ROOT / "deploy/front/haproxy.cfg").read_text()
    for ours, here in {
        "bind :8080": f"bind 127.0.0.1:{port}",
        "bind 127.0.0.1:8081": f"bind 127.0.0.1:{free_port()}",
        "parse-resolv-conf": f"nameserver test 127.0.0.1:{names}",
        "    hold valid 5s": "    hold valid 1s",
    }.items():
        assert ours in text
        text = text.replace(ours, here)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(text)
    # a test asks more often than an address may
    environment = os.environ | {"PROXY_ADDRESS": f"proxies.test:{proxies_port}", "ADDRESS_REQUESTS": "100000"} | more
    process = await asyncio.create_subprocess_exec(
        HAPROXY, "-db", "-f", configuration, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
        transport.close()


@pytest.fixture
async def front(start_service, tmp_path):
    port = free_port()
    async with FakeTriton() as fake, running_haproxy(tmp_path, port) as url:
        settings = {"PORT": str(port), "TRITON_URL": fake.url, "LOG_LEVEL": "DEBUG"}
        proxies = [start_service("proxy", HOST=address, **settings) for address in ADDRESSES]
        async with ClientSession(connector=TCPConnector(force_close=True)) as session:
            front = Front(url, proxies, fake, session)

            async def both_answer():
                with contextlib.suppress(OSError):
                    await front.status()
                return min(front.answered()) > 0

            await until(both_answer)
            yield front
        for proxy in proxies:
            proxy.stop()


async def test_the_proxies_behind_one_name_share_the_requests(front):
    before = front.answered()
    assert 20 * [200] == [await front.status() for _ in range(20)]
    shares = [now - then for then, now in zip(before, front.answered(), strict=True)]
    assert (20, True) == (sum(shares), min(shares) >= 5)
    assert 200 == await front.status("/analyze", **POST)


async def test_a_proxy_that_ends_beside_another_one_fails_no_request(front):
    leaving, staying = front.proxies
    leaving.process.send_signal(signal.SIGTERM)
    statuses = []
    while leaving.process.poll() is None or len(statuses) < 50:
        statuses.append(await front.status())
    assert {200} == set(statuses)
    assert staying.process.poll() is None


@pytest.mark.parametrize("path", ["/metrics", "/v1/metrics", "/%6detrics"])
async def test_the_metrics_are_not_public(front, path):
    assert 404 == await front.status(path)


async def test_a_client_that_leaves_frees_its_place_in_the_proxys_queue(front):
    front.triton.open.clear()
    asked = asyncio.create_task(front.status("/analyze", **POST))
    await front.triton.asked.acquire()
    asked.cancel()

    async def one_is_told():
        return 1 == sum(front.answered("/analyze", status=499))

    await until(one_is_told)
    front.triton.open.set()


async def test_a_client_without_tls_cannot_speak_http_2(front):
    """ADDRESS_CONNECTIONS counts connections, and one of HTTP/2 has many requests at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.url.rpartition(":")[2])
    writer.write(HTTP_2)
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_client_with_tls_is_not_offered_http_2(tmp_path):
    pem = certificate(tmp_path / "cert.pem")
    trusting = ssl.create_default_context(cafile=pem)
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    async with running_haproxy(tmp_path, free_port(), TLS_CERTIFICATE=str(pem)) as url:
        address, opened = url.removeprefix("http://").split(":"), []

        async def connected():
            with contextlib.suppress(ConnectionRefusedError):  # it does not listen yet
                opened.append(await asyncio.open_connection(*address, ssl=trusting))
            return opened

        await until(connected)
        ((_, writer),) = opened
        assert "http/1.1" == writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.close()
