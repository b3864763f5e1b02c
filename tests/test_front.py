"""Several proxies behind the front proxy: the real HAProxy with deploy/front/haproxy.cfg before two `python -m proxy`.

It needs the program `haproxy`: on the path, or named by HAPROXY. containers.py tests the same in containers.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess

import pytest
from aiohttp import ClientSession, TCPConnector
from conftest import ROOT
from proxy_servers import FakeTriton, png, texture, until

from host.ports import free_port

HAPROXY = os.environ.get("HAPROXY") or shutil.which("haproxy")
ADDRESSES = ("127.0.0.2", "127.0.0.3")  # of the proxies: one name, one port, as a container engine has it
BODY = png(texture(32, 40))
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
    """The address of the front proxy, the processes of the proxies behind it, and a client."""

    def __init__(self, url, proxies, session):
        self.url, self.proxies, self.session = url, proxies, session

    async def status(self, path="/", **options):
        async with self.session.request(options.pop("method", "GET"), self.url + path, **options) as response:
            await response.read()
            return response.status

    def answered(self):
        """How many times each proxy has answered the page."""
        return [proxy.said.count("route=/ status=200") for proxy in self.proxies]


@contextlib.asynccontextmanager
async def running_haproxy(folder, proxies_port):
    """HAProxy with our configuration, on ports and with a name server of the test's own."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    port, names = free_port(), transport.get_extra_info("sockname")[1]
    text = (ROOT / "deploy/front/haproxy.cfg").read_text()
    for ours, here in {
        "bind :8080\n": f"bind 127.0.0.1:{port}\n",
        "bind 127.0.0.1:8081": f"bind 127.0.0.1:{free_port()}",
        "parse-resolv-conf": f"nameserver test 127.0.0.1:{names}",
        "    hold valid 5s": "    hold valid 1s",
    }.items():
        assert ours in text
        text = text.replace(ours, here)
    configuration = folder / "haproxy.cfg"
    configuration.write_text(text)
    # a test asks more often than an address may
    environment = os.environ | {"PROXY_ADDRESS": f"proxies.test:{proxies_port}", "ADDRESS_REQUESTS": "100000"}
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
            front = Front(url, proxies, session)

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
    headers = {"Content-Type": "image/png"}
    assert 200 == await front.status("/analyze", method="POST", data=BODY, headers=headers)


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
