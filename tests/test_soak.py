"""Twenty minutes of good, bad and slow clients, with a kill, a stall and another model each minute.

SOAK_MINUTES   how long; default 20
"""

import asyncio
import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientTimeout
from conftest import ROOT, command_name, descendants, runs
from proxy_servers import SAMPLES, until
from slow_clients import attacking, slow_body

from host.ports import free_port
from training.graphs.proof import with_proof

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
GOOD_CLIENTS, SLOW_CLIENTS = 4, 50
RECOVERY_S = 12.0  # of a fault: 10 s until it is ready again, and 2 s for those whose answers were on their way
GROWTH = 0.05  # of the proxy's memory, from the first third of the time to the last

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(MINUTES * 60 + 600)]


def without_pixels(width, height):
    """A PNG that declares a size and ends."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


BAD = [  # content type, body, status
    ("image/png", b"no image at all", 415),
    ("image/png", without_pixels(64, 64), 422),
    ("image/png", without_pixels(60_000, 60_000), 413),
    ("text/plain", b"words", 415),
    ("image/jpeg", b"", 400),
]


class Models:
    """A repository whose model has one threshold or another; `change` publishes the other one."""

    def __init__(self, folder):
        self.repository = folder / "models"
        self._kept = {}
        for threshold in ("64", "200"):
            self._kept[threshold] = shutil.copytree(ROOT / "model_repository", folder / threshold)
            relabel(self._kept[threshold] / "segmenter", threshold)
        self.change()

    def change(self):
        """Put the other model's folder in place."""
        threshold, kept = next(iter(self._kept.items()))
        self._kept[threshold] = self._kept.pop(threshold)
        aside = self.repository.with_name("next")
        shutil.copytree(kept, aside)
        if self.repository.exists():
            self.repository.rename(self.repository.with_name("last"))
        aside.rename(self.repository)
        shutil.rmtree(self.repository.with_name("last"), ignore_errors=True)


def relabel(model, threshold):
    """Give a published model another threshold."""
    config, graph = model / "config.pbtxt", model / "1/model.onnx"
    loaded = onnx.load(graph)
    told = {entry.key: entry.value for entry in loaded.metadata_props} | {"model.threshold": threshold}
    told.pop("model.digest")
    proven, told = with_proof(loaded, told)
    onnx.save(proven, graph)
    text = config.read_text()
    for name in ("model.threshold", "model.digest", "model.sha256"):
        value = told[name] if name in told else hashlib.sha256(graph.read_bytes()).hexdigest()
        text, changes = re.subn(rf'("{name}" value: {{ string_value: ")[^"]*', rf"\g<1>{value}", text)
        assert changes == 1
    config.write_text(text)


class Soak:
    """The service under test, what came back of it, and which fault is under way."""

    def __init__(self, url, service, session):
        self.url, self.session, self._service = url, session, service
        self.images = [path.read_bytes() for path in sorted(SAMPLES.glob("*/Imgs/*.jpg"))]
        self.expected = {}
        self.statuses, self.unexpected, self.wrong, self.memory = Counter(), [], [], []
        self._faults = []

    async def ask(self, kind, body, **options):
        """Post once; return the status and the answer, or a connection's end as status 0."""
        headers = {"Content-Type": kind}
        try:
            async with self.session.post(f"{self.url}/analyze", data=body, headers=headers, **options) as response:
                return response.status, await response.json()
        except (ClientConnectionError, TimeoutError):
            return 0, {}

    async def learn(self):
        """Note what the model that is served now answers to each image, while nothing disturbs it."""
        for place, body in enumerate(self.images):
            status, answer = await self.ask("image/jpeg", body)
            assert 200 == status, answer
            self.expected[answer["threshold"], place] = (answer["score"], answer["pred"])

    async def good(self, rng):
        while True:
            place = rng.randrange(len(self.images))
            status, answer = await self.ask("image/jpeg", self.images[place])
            if status == 200 and (answer["score"], answer["pred"]) != self.expected[answer["threshold"], place]:
                self.wrong.append(place)
            self.note(status, 200, answer)
            await asyncio.sleep(0 if status == 200 else 0.1)

    async def bad(self, rng):
        while True:
            kind, body, expected = rng.choice(BAD)
            status, answer = await self.ask(kind, body)
            self.note(status, expected, answer)
            await asyncio.sleep(0.2)

    def note(self, status, expected, answer):
        self.statuses[status] += 1
        known = (status == expected) or (status in (502, 503, 504) and self.disturbed())
        if not known:
            self.unexpected.append((status, expected, answer.get("detail")))

    def disturbed(self):
        now = time.monotonic()
        return any(start <= now <= end + RECOVERY_S for start, end in self._faults)

    @contextlib.contextmanager
    def fault(self):
        self._faults.append((time.monotonic(), float("inf")))
        yield
        self._faults[-1] = (self._faults[-1][0], time.monotonic())

    def processes(self, name):
        return [pid for pid in descendants(self._service.pid) if runs(pid) and command_name(pid).startswith(name)]

    async def is_ready(self):
        return (await self.ask("image/jpeg", self.images[0]))[0] == 200

    async def measure(self):
        while True:
            self.memory.append(proxy_mebibytes(self._service.pid))
            await asyncio.sleep(5)

    def growth(self):
        third = len(self.memory) // 3
        return float(np.median(self.memory[-third:]) / np.median(self.memory[third // 3 : third]) - 1)


def proxy_mebibytes(launcher):
    """The memory that the proxy below a launcher has in use."""
    (proxy,) = (pid for pid in descendants(launcher) if b"proxy" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return int(Path(f"/proc/{proxy}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def kill(soak, rng, _models):
    os.kill(rng.choice(soak.processes(rng.choice(["tritonserver", "triton_python_b"]))), signal.SIGKILL)


async def stall(soak, rng, _models):
    pid = rng.choice(soak.processes(rng.choice(["tritonserver", "triton_python_b"])))
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(rng.uniform(0.5, 5))
    if runs(pid):
        os.kill(pid, signal.SIGCONT)


async def reload(soak, _rng, models):
    """Publish another model; Triton reads it when it starts."""
    models.change()
    (server,) = soak.processes("tritonserver")
    os.kill(server, signal.SIGTERM)
    await until(lambda: gone(server), timeout_s=30)


async def gone(pid):
    return not runs(pid)


@pytest.fixture
def service(tmp_path, start_service) -> Iterator[tuple]:
    models, port = Models(tmp_path), free_port()
    numbers = {name: str(free_port()) for name in ("TRITON_HTTP_PORT", "TRITON_METRICS_PORT")}
    started = start_service("launch", MODEL_REPOSITORY=str(models.repository), PORT=str(port), **numbers)
    return f"http://127.0.0.1:{port}", port, started, models


async def test_0_wrong_masks_0_unexpected_errors_and_no_growing_memory(service) -> None:
    url, port, started, models = service
    rng = random.Random(0)  # noqa: S311  repeatable
    async with ClientSession(timeout=ClientTimeout(60)) as session:
        soak = Soak(url, started, session)
        await until(soak.is_ready, timeout_s=120)
        await soak.learn()
        await reload(soak, rng, models)
        await until(soak.is_ready, timeout_s=60)
        await soak.learn()
        assert 2 * len(soak.images) == len(soak.expected), "two models are told apart"

        clients = [soak.good(random.Random(n)) for n in range(GOOD_CLIENTS)]  # noqa: S311
        async with attacking(slow_body, "127.0.0.1", port, soak.images[0], SLOW_CLIENTS), asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in (*clients, soak.bad(rng), soak.measure())]
            until_s = time.monotonic() + MINUTES * 60
            while time.monotonic() < until_s:
                for fault in (kill, stall, reload):
                    await asyncio.sleep(8)
                    with soak.fault():
                        await fault(soak, rng, models)
                        await until(soak.is_ready, timeout_s=60)
            for task in tasks:
                task.cancel()

    print(f"\n{dict(soak.statuses)}; memory {soak.memory[0]:.0f} to {soak.memory[-1]:.0f} MiB, {soak.growth():+.1%}")  # noqa: T201
    assert [] == soak.wrong
    assert [] == soak.unexpected
    assert GROWTH > soak.growth()
