"""Stubs and tritonserver are stopped under load, as a stall of the machine does: no client gets another image's mask.

STALLS   how many for each number of clients in the long test; default 40, and so 200 in all
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, answers, command_name, descendants, runs
from PIL import Image
from proxy_servers import SAMPLES, png, running_proxy, until

from host.ports import free_port
from tiles import canvas_size

STALLS = int(os.environ.get("STALLS", "40"))
SIZE = (224, 192)  # of every image, cut from the samples: one canvas
READY_AGAIN_S = 10


class Kept:
    """`python -m inference_server`, started again whenever it ends, as a container engine or its launcher does."""

    def __init__(self, python, folder):
        self.port, self._metrics_port = free_port(), free_port()
        self.url = f"127.0.0.1:{self.port}"
        self.log = folder / "stderr"
        self.starts = 0
        self._python, self._open = python, True
        self._thread = threading.Thread(target=self._keep)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._open = False
        self._process.terminate()
        self._thread.join()

    def _keep(self):
        environment = os.environ | {
            "MODEL_REPOSITORY": str(ROOT / "model_repository"),
            "TRITON_HTTP_PORT": str(self.port),
            "TRITON_METRICS_PORT": str(self._metrics_port),
            "MODEL_INSTANCES": "2",
        }
        with self.log.open("a") as log:
            while self._open:
                self.starts += 1
                self._process = subprocess.Popen(
                    [self._python, "-m", "inference_server"], cwd=ROOT, env=environment, stdout=log, stderr=log
                )
                self._process.wait()

    def processes(self, name):
        """The ids of tritonserver or of its stubs."""
        found = []
        for pid in descendants(self._process.pid):
            with contextlib.suppress(OSError):
                found += [pid] if command_name(pid).startswith(name) else []
        return found


def images():
    """Images of one canvas, each with another answer."""
    assert (224, 192) == canvas_size(*SIZE)
    cut = []
    for path in sorted(SAMPLES.glob("*/Imgs/*.jpg")):
        image = np.asarray(Image.open(path).convert("L"))[: SIZE[0], : SIZE[1]]
        if image.shape == SIZE:
            cut.append(png(image))
    return cut


async def stall(kept, duration_s, rng):
    """Stop a stub, or tritonserver itself, for so long; return what was stopped."""
    name = rng.choice(["triton_python_b", "triton_python_b", "tritonserver"])
    found = kept.processes(name)
    if not found:
        return "nothing"
    pid = rng.choice(found)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(duration_s)
        if runs(pid):
            os.kill(pid, signal.SIGCONT)
    return name


async def stalled(python, folder, *, clients, stalls, seconds):
    """Post while processes are stopped; return statuses, wrong answers and the longest time to be ready again."""
    rng = random.Random(clients)  # noqa: S311  repeatable
    statuses, wrong, longest_s = Counter(), [], 0.0
    with Kept(python, folder) as kept:
        await until(lambda: asyncio.to_thread(answers, f"http://{kept.url}/v2/health/ready"), timeout_s=60)
        async with running_proxy(kept.url, connections=0, check_interval_s=1) as proxy:
            answered = {json.dumps(await proxy.analysis(body)): body for body in images()}
            expected, bodies = [json.loads(answer) for answer in answered], list(answered.values())
            assert len(bodies) >= 20, "so many answers are told apart"

            async def post():
                while True:
                    place = rng.randrange(len(bodies))
                    async with proxy.post(bodies[place]) as response:
                        statuses[response.status] += 1
                        if response.status != 200:
                            await asyncio.sleep(0.05)
                        elif (answer := await response.json()) != expected[place]:
                            wrong.append((place, answer["score"]))

            async def is_answered():
                async with proxy.post(bodies[0]) as response:
                    return response.status == 200

            posting = [asyncio.create_task(post()) for _ in range(clients)]
            for _ in range(stalls):
                await stall(kept, np.exp(rng.uniform(*np.log(seconds))), rng)
                ended_s = time.monotonic()
                await until(is_answered, timeout_s=60)
                longest_s = max(longest_s, time.monotonic() - ended_s)
                await asyncio.sleep(rng.uniform(0, 0.5))
            mismatches = await proxy.metric("proxy_answer_mismatches_total")
            assert [] == [task.exception() for task in posting if task.done()]
            for task in posting:
                task.cancel()
            await asyncio.gather(*posting, return_exceptions=True)
    print(  # noqa: T201  for `pytest -s`
        f"{clients} clients, {stalls} stalls: {dict(statuses)}, {kept.starts - 1} restarts, {mismatches:.0f} "
        f"mismatches caught, ready again after {longest_s:.1f} s at most"
    )
    return statuses, wrong, longest_s


@pytest.mark.timeout(1800)
@pytest.mark.faults
@pytest.mark.parametrize("clients", [1, 2, 4, 8, 16])
async def test_0_wrong_masks_over_200_stalls_of_half_a_second_to_10_s_and_ready_again_within_10_s(
    serving_python: Path, tmp_path: Path, clients: int
) -> None:
    statuses, wrong, longest_s = await stalled(
        serving_python, tmp_path, clients=clients, stalls=STALLS, seconds=(0.5, 10)
    )

    assert [] == wrong
    assert statuses[200] > STALLS
    assert READY_AGAIN_S > longest_s


async def test_0_wrong_masks_over_3_stalls_of_2_s_and_ready_again_within_30_s(
    serving_python: Path, tmp_path: Path
) -> None:
    statuses, wrong, longest_s = await stalled(serving_python, tmp_path, clients=3, stalls=3, seconds=(1.9, 2.3))

    assert [] == wrong
    assert statuses[200] > 10
    assert 3 * READY_AGAIN_S > longest_s, "a busy machine; READY_AGAIN_S itself is for the faults"
