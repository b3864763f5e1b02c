"""500 slow clients at once, directly and behind the front proxy: a good client keeps 80 % of its answers."""

import asyncio
import contextlib
import os
import shutil

import pytest
from proxy_servers import FakeTriton, png, texture, until
from slow_clients import ATTACKS, attacking, good_share
from test_front import HAPROXY, running_haproxy

from tests.ports import free_port

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
    """Yield the port to attack: of a proxy on the real loop of its own process, or of HAProxy before it."""
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
        yield port


WAYS = [pytest.param("direct"), pytest.param("front", marks=pytest.mark.skipif(not HAPROXY, reason="no haproxy"))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_beside_500_slow_clients_a_good_one_keeps_80_percent(start_service, tmp_path, way, attack):
    async with (
        running_service(start_service, tmp_path, way) as port,
        attacking(ATTACKS[attack], "127.0.0.1", port, BODY),
    ):
        share, asked = await good_share(f"http://127.0.0.1:{port}/analyze", BODY, SECONDS)
    print(f"{attack}, {way}: {share:.3f} of {asked}")  # noqa: T201
    assert share >= MUST


@pytest.mark.skipif(not SLOWHTTPTEST, reason="no slowhttptest")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("attack", TOOL)
async def test_beside_slowhttptest_a_good_client_keeps_80_percent(start_service, tmp_path, way, attack):
    async with running_service(start_service, tmp_path, way) as port:
        url = f"http://127.0.0.1:{port}/" + ("page.js" if attack == "readers" else "analyze")
        words = [SLOWHTTPTEST, *TOOL[attack], "-u", url, "-c", "500", "-r", "250", "-i", "3", "-l", str(SECONDS + 4)]
        process = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await asyncio.sleep(3)
            share, asked = await good_share(f"http://127.0.0.1:{port}/analyze", BODY, SECONDS)
            assert process.returncode is None, "it had ended before"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    print(f"slowhttptest {attack}, {way}: {share:.3f} of {asked}")  # noqa: T201
    assert share >= MUST
