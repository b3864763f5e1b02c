"""PROXY_WORKERS: several processes that answer on one port, count together, come back when killed, and end together."""

import asyncio
import contextlib
import os
import re
import signal
import socket

import pytest
from aiohttp import ClientConnectionError, ClientSession, TCPConnector
from conftest import descendants, runs
from proxy_servers import FakeTriton, until
from test_proxy_start import ended, post


class Workers:
    """Two workers under their supervisor; each request comes on a connection of its own."""

    def __init__(self, service, session):
        self.service, self.session = service, session
        self.posted = []

    @property
    def pids(self):
        return descendants(self.service.pid)

    @property
    def port(self):
        (port,) = set(re.findall(r"listening url=http://127.0.0.1:(\d+) ", self.service.said))
        return int(port)

    async def started(self, times=2):
        """Wait until so many workers, the ended ones among them, have listened and found the model."""

        async def are_ready():
            assert self.service.process.poll() is None, self.service.said
            return [times, times] == [self.service.said.count(word) for word in (" listening url=", " ready model=")]

        await until(are_ready)

    async def get(self, path):
        async with self.session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return await response.text()

    async def metric(self, sample):
        found = re.search(rf"^{re.escape(sample)} (\S+)$", await self.get("/metrics"), re.MULTILINE)
        return float(found[1]) if found else None

    async def have_both_a_batch_in_flight(self):
        while await self.metric("proxy_batches_in_flight") < 2:
            self.posted.append(asyncio.create_task(post(self.session, self.port)))
            await until(self.have_all_posted)

    async def have_all_posted(self):
        places = [await self.metric(f"proxy_{name}") for name in ("batches_in_flight", "waiting_tiles")]
        return sum(places) == len(self.posted)

    async def are_closed(self):
        if self.service.said.count(" stopping grace_s=") < 2:
            return False  # not asked yet: aiohttp leaves a connection without answer that comes while it stops
        try:
            await self.get("/health/live")
        except ClientConnectionError:
            return True
        return False

    async def end(self):
        return await asyncio.to_thread(self.service.process.wait, 20)


@pytest.fixture
def two_workers(start_service, tmp_path):
    @contextlib.asynccontextmanager
    async def start(triton):
        service = start_service(
            "proxy",
            PORT="0", PROXY_WORKERS="2", TRITON_URL=triton.url, TMPDIR=str(tmp_path), LOG_LEVEL="DEBUG",
            IN_FLIGHT_BATCHES="1",  # each: two in flight are then of both
        )  # fmt: skip
        async with ClientSession(connector=TCPConnector(force_close=True)) as session:
            workers = Workers(service, session)
            await workers.started()
            yield workers
            service.stop()

    return start


async def test_both_workers_answer_on_one_port_and_either_tells_the_sum(two_workers):
    async with FakeTriton() as fake, two_workers(fake) as workers:
        asked = told = 0

        async def both_have_answered(path):
            nonlocal asked
            await workers.get(path)
            asked += path == "/health/live"
            answered = re.findall(rf"request method=GET route={path} .* worker=(\d)", workers.service.said)
            return {"1", "2"} == set(answered)

        await until(lambda: both_have_answered("/health/live"))
        while not await both_have_answered("/metrics"):
            told += 1
            assert asked == await workers.metric('proxy_requests_total{route="/health/live",status="200"}')
        assert 1 == await workers.metric("proxy_ready")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_listening_at_once_and_all_processes_after_what_is_in_flight(two_workers, tmp_path, number):
    async with FakeTriton() as fake, two_workers(fake) as workers:
        fake.open.clear()
        await workers.have_both_a_batch_in_flight()
        pids = workers.pids
        assert 2 == len(pids)
        for pid in [workers.service.pid, *(pids if number == signal.SIGINT else [])]:  # Ctrl-C reaches all
            os.kill(pid, number)
        await until(workers.are_closed)
        assert [True, True] == [runs(pid) for pid in pids]
        fake.open.set()
        assert {(200, 32)} == set(await asyncio.gather(*workers.posted))
        assert 0 == await workers.end()
        assert [] == [pid for pid in pids if runs(pid)]
        assert [] == list(tmp_path.iterdir())


async def test_the_status_tells_of_a_worker_that_did_not_end_well(two_workers):
    async with FakeTriton() as fake, two_workers(fake) as workers:
        fake.open.clear()
        await workers.have_both_a_batch_in_flight()
        pids = workers.pids
        workers.service.process.send_signal(signal.SIGTERM)
        await until(workers.are_closed)
        os.kill(pids[1], signal.SIGKILL)
        fake.open.set()
        assert 128 + signal.SIGKILL == await workers.end()
        answers = await asyncio.gather(*workers.posted, return_exceptions=True)
        assert (200, 32) in answers
        assert any(isinstance(answer, ClientConnectionError) for answer in answers)


async def test_killed_workers_come_back_and_what_they_did_stays_counted_but_not_what_they_had_in_flight(two_workers):
    async with FakeTriton() as fake, two_workers(fake) as workers:
        await workers.get("/health/live")
        fake.open.clear()
        await workers.have_both_a_batch_in_flight()
        pids = workers.pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await workers.started(times=4)
        assert ["1", "2"] == sorted(re.findall(r"worker_ended worker=(\d) status=-9", workers.service.said))
        assert set(pids).isdisjoint(workers.pids)
        assert 0 == await workers.metric("proxy_batches_in_flight")
        assert 1 == await workers.metric('proxy_requests_total{route="/health/live",status="200"}')
        fake.open.set()
        assert (200, 32) == await post(workers.session, workers.port)
        await asyncio.gather(*workers.posted, return_exceptions=True)


async def test_the_workers_end_with_a_supervisor_that_is_killed(two_workers):
    async with FakeTriton() as fake, two_workers(fake) as workers:
        pids = workers.pids
        workers.service.process.kill()

        async def have_ended():
            return not any(runs(pid) for pid in pids)

        await until(have_ended)


async def test_the_folder_that_a_killed_supervisor_left_is_gone_with_the_next_start_and_a_running_ones_stays(
    two_workers, tmp_path
):
    async with FakeTriton() as fake:
        async with two_workers(fake) as workers:
            workers.service.process.kill()
            await workers.end()
        (left,) = tmp_path.iterdir()
        async with two_workers(fake):
            (first,) = tmp_path.iterdir()
            assert first != left
            async with two_workers(fake):
                assert {first} < set(tmp_path.iterdir())
        assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("others_share", [False, True])
def test_a_port_in_use_is_refused_once_even_where_others_would_share_it(serving_python, others_share):
    with socket.create_server(("127.0.0.1", 0), reuse_port=others_share) as taken:
        port = taken.getsockname()[1]
        run = ended(serving_python, PORT=str(port), PROXY_WORKERS="2")
    assert (1, "") == (run.returncode, run.stdout)
    assert 1 == len(run.stderr.splitlines())
    assert f"error: cannot listen on 127.0.0.1 port {port} " in run.stderr
    assert "set PORT" in run.stderr


def test_a_worker_that_ends_at_each_start_ends_all_with_one_error(serving_python, tmp_path):
    """Python imports sitecustomize first: it ends the second worker before our code begins."""
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nif sys.orig_argv[-1] == '2':\n    os._exit(7)\n")
    run = ended(serving_python, PORT="0", PROXY_WORKERS="2", PYTHONPATH=str(tmp_path), TRITON_URL="127.0.0.1:9")
    assert 1 == run.returncode
    assert 1 == len(run.stderr.splitlines())
    assert run.stderr.startswith("error: worker 2 ended 5 times within 10 s of its start, the last time with 7: ")
    assert "worker_ended worker=2 status=7" in run.stdout
