"""Several proxies on one port: N processes that listen on it together, started again when they die, ended together.

Each is `python -m proxy --worker NUMBER` and shares nothing with the others but the port and the metrics' folder. The
kernel gives each connection to one of them (SO_REUSEPORT).
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping

from prometheus_client.multiprocess import mark_process_dead

from host.processes import end_with_parent
from proxy.app import binding
from proxy.errors import WorkerError
from proxy.metrics_folder import metrics_folder
from proxy.settings import Settings
from proxy.telemetry import event

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name, read when it is imported
START_S = 10.0  # a worker that ends sooner has not come to work
STARTS = 5  # that may fail, one after another
FIRST_RESTART_S = 0.05  # doubled with each failed start
STOPPED = (0, -signal.SIGTERM, -signal.SIGINT)  # the negative ones: before, or just after, it listened to signals
log = logging.getLogger(__name__)


async def supervise(settings: Settings, stop: asyncio.Event) -> int:
    """Keep the workers running until `stop` is set, then have them end; return 0 or the first failing one's exit code.

    Raises: ListenError, WorkerError.
    """
    with metrics_folder() as folder:
        async with _reserved(settings) as port:
            environment = os.environ | {"PORT": str(port), METRICS_FOLDER: folder}
            numbers = range(1, settings.proxy_workers + 1)
            workers = [asyncio.create_task(_keep(number, environment, stop)) for number in numbers]
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            stop.set()  # where one gives up all do
            await asyncio.gather(*workers, return_exceptions=True)
    statuses = [worker.result() for worker in workers]
    failed = next((status for status in statuses if status not in STOPPED), 0)
    return failed if failed >= 0 else 128 - failed  # as a shell tells of a signal


@contextlib.asynccontextmanager
async def _reserved(settings: Settings) -> AsyncIterator[int]:
    """Hold the port without listening; give its number.

    It is bound before SO_REUSEPORT is set, so that a port on which others listen, even so that they would share it, is
    refused. From then on the kernel lets only this user's processes share it.

    Raises: ListenError.
    """
    with binding(settings):
        server = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, settings.host, settings.port, start_serving=False
        )
    for bound in server.sockets:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _keep(number: int, environment: Mapping[str, str], stop: asyncio.Event) -> int:
    """Start a worker whenever it has ended, until `stop` is set; return its last status.

    Raises: WorkerError.
    """
    clock = asyncio.get_running_loop().time
    failed_starts = 0
    while True:
        started = clock()
        status = await _run(number, environment, stop)
        if stop.is_set():
            return status
        failed_starts = failed_starts + 1 if clock() - started < START_S else 0
        if failed_starts == STARTS:
            raise WorkerError(
                f"worker {number} ended {STARTS} times within {START_S:g} s of its start, the last time with {status}: "
                "mend what it wrote above; with -9 it was killed, mostly for want of memory: set PROXY_WORKERS to fewer"
            )
        restart_s = FIRST_RESTART_S * 2**failed_starts
        log.error(event("worker_ended", worker=number, status=status, restart_s=restart_s))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), restart_s)
            return 0


async def _run(number: int, environment: Mapping[str, str], stop: asyncio.Event) -> int:
    """Run a worker once; return its exit status, or minus the signal that ended it."""
    command = [sys.executable, "-m", "proxy", "--worker", str(number)]
    process = await asyncio.create_subprocess_exec(*command, env=environment, preexec_fn=end_with_parent)
    ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
    await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)  # terminate() would look first, and could take asyncio's status away
    status = await ended
    mark_process_dead(process.pid, environment[METRICS_FOLDER])  # type: ignore[no-untyped-call]
    return status
