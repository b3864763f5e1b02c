"""Work beside the event loop: nothing of it waits where neither a deadline nor a client's leaving reaches it."""

import asyncio
import os
import subprocess
import sys
import threading
from unittest import mock

import pytest

from proxy.errors import DeadlinePassedError
from proxy.threads import Threads


@pytest.fixture
async def threads():
    with Threads(1) as threads:
        yield threads


def soon(seconds):
    return asyncio.get_running_loop().time() + seconds


async def test_the_work_is_done_beside_the_loop_and_what_it_raises_is_raised(threads):
    assert threading.get_ident() != await threads.run(threading.get_ident, deadline=soon(60))
    with pytest.raises(ValueError, match="invalid literal"):
        await threads.run(lambda: int("one"), deadline=soon(60))
    assert 1 == await threads.run(lambda: 1, deadline=soon(60))


async def test_what_finds_no_thread_by_its_deadline_is_never_begun(threads):
    go_on, begun = threading.Event(), []
    first = asyncio.create_task(threads.run(go_on.wait, deadline=soon(60)))
    await asyncio.sleep(0)
    with pytest.raises(DeadlinePassedError):
        await threads.run(lambda: begun.append("late"), deadline=soon(0.05))
    go_on.set()
    assert await first
    assert 2 == await threads.run(lambda: 2, deadline=soon(60))
    assert not begun


async def test_a_thread_that_cannot_be_started_is_not_counted_as_busy_for_ever(threads, monkeypatch):
    ran = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", mock.Mock(side_effect=RuntimeError("can't start new thread")))
        for _ in range(3):
            with pytest.raises(RuntimeError, match="new thread"):
                await threads.run(lambda: ran.append("refused"), deadline=soon(5))
    assert 2 == await threads.run(lambda: 2, deadline=soon(60))
    assert not ran


async def test_a_thread_whose_client_has_left_is_not_free_before_its_work_is_done(threads):
    go_on, ended = threading.Event(), []

    def work():
        go_on.wait()
        ended.append("first")

    left = asyncio.create_task(threads.run(work, deadline=soon(60)))
    await asyncio.sleep(0)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    with pytest.raises(DeadlinePassedError):
        await threads.run(lambda: ended.append("second"), deadline=soon(0.05))
    go_on.set()
    await threads.run(lambda: ended.append("third"), deadline=soon(60))
    assert ["first", "third"] == ended


def test_a_product_of_matrices_starts_no_threads_that_keep_the_cores_busy():
    """OpenBLAS's own would wait in a loop for the next product, on the cores that Triton needs."""
    program = (
        "import os, proxy.segmenter, numpy as np; a = np.ones((600, 600), np.float32); a @ a;"
        "print(len(os.listdir('/proc/self/task')))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "1" == done.stdout.strip()
