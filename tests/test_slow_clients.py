"""500 slow clients at once, directly and behind the front proxy: a good client keeps 80 % of its answers."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from proxy_servers import FakeTriton, png, texture, until
from slow_clients import ATTACKS, attacking, good_share
from test_front import HAPROXY, running_haproxy

from host.ports import free_port

MUST = 0.8
SECONDS = 12
BODY = png(texture(220, 300))
SLOWHTTPTEST = os.environ.get("SLOWHTTPTEST") or shutil.which("slowhttptest")
TOOL = {
    "bodies": ["-B", "-s", "8192", "-t", "POST", "-f", "image/png", "-x", "10"],
    "headers": ["-H", "-x", "24"],
    "readers": ["-X", "-w", "16", "-y", "64", "-n", "5", "-z", "8", "-k", "3"],
}
pytestmark = pytest.mark.faults


@contextlib.asynccontextmanager
async def running_service(start_service, folder, way):
    """Yield the port to attack, of a proxy or of HAProxy before it, and the proxy."""
    port = free_port()
    async with FakeTriton() as fake, contextlib.AsyncExitStack() as stack:
        settings = {"PORT": str(port), "TRITON_URL": fake.url, "HOST": "127.0.0.2" if way == "front" else "127.0.0.1"}
        proxy = start_service("proxy", **settings)
        stack.callback(proxy.stop)
        if way == "front":
            port = int((await stack.enter_async_context(running_haproxy(folder, port))).rpartition(":")[2])

        async def answers():
            return (await good_share(f"http://127.0.0.1:{port}/analyze", BODY, 0.01))[0] == 1

        await until(answers)
        yield port, proxy


WAYS = [pytest.param("direct"), pytest.param("front", marks=pytest.mark.skipif(not HAPROXY, reason="no haproxy"))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_beside_500_slow_clients_a_good_one_keeps_80_percent(start_service, tmp_path, way, attack):
    async with (
        running_service(start_service, tmp_path, way) as (port, _),
        attacking(ATTACKS[attack], "127.0.0.1", port, BODY),
    ):
        share, asked = await good_share(f"http://127.0.0.1:{port}/analyze", BODY, SECONDS)
    print(f"{attack}, {way}: {share:.3f} of {asked}")  # noqa: T201
    assert share >= MUST


async def repeat(words):
    """Run the tool for ever: it ends as soon as all its connections were closed."""
    while True:
        process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.mark.skipif(not SLOWHTTPTEST, reason="no slowhttptest")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", TOOL)
async def test_beside_slowhttptest_a_good_client_keeps_80_percent(start_service, tmp_path, way, kind):
    async with running_service(start_service, tmp_path, way) as (port, _):
        url = f"http://127.0.0.1:{port}/" + ("page.js" if kind == "readers" else "analyze")
        words = [SLOWHTTPTEST, *TOOL[kind], "-u", url, "-c", "500", "-r", "250", "-i", "3", "-l", str(SECONDS + 4)]
        attack = asyncio.create_task(repeat(words))
        try:
            await asyncio.sleep(3)
            share, asked = await good_share(f"http://127.0.0.1:{port}/analyze", BODY, SECONDS)
        finally:
            attack.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await attack
    print(f"slowhttptest {kind}, {way}: {share:.3f} of {asked}")  # noqa: T201
    assert share >= MUST


def resident_mib(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def test_300_unfinished_heads_of_981_kb_take_less_than_64_mib(start_service, tmp_path):
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + 120 * (b"X: " + 8170 * b"x" + b"\r\n")
    async with running_service(start_service, tmp_path, "direct") as (port, proxy):
        before = resident_mib(proxy.pid)
        opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(300)))
        most = before
        for _, writer in opened:
            writer.write(head)
            await asyncio.sleep(0.01)
            most = max(most, resident_mib(proxy.pid))
        share, _ = await good_share(f"http://127.0.0.1:{port}/analyze", BODY, 2)
        for _, writer in opened:
            writer.transport.abort()
    print(f"{most - before:.0f} MiB, {share:.2f}")  # noqa: T201
    assert most - before < 64
    assert share >= MUST
