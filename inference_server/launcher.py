"""Start `tritonserver` from the wheel, wait until it is ready, and end it with all its processes."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from host.addresses import is_version_6
from host.memory import MIB, memory_kills, memory_limit_bytes
from inference_server.addresses import numeric_address, refuse_port_in_use
from inference_server.child import Child, Waitable, child, first_of, guard
from inference_server.errors import (
    OutOfMemoryError,
    ServingError,
    StartError,
    StopAskedError,
)
from inference_server.limits import refuse_limits
from inference_server.log import Log
from inference_server.run_folder import ENVIRONMENT, HOW_TO_GET_A_MODEL, models_of, run_folder
from inference_server.settings import Settings
from inference_server.stubs import watched
from inference_server.watch import Watch, fetch
from inference_server.wheel import Wheel, find_wheel

CLOSED_APIS = "shared-memory,model-repository,trace,logging"
# Triton opens these to a header of this value. It holds a line break, which ends a header: no request can send it. So
# nobody can open them, and the value may be read by everybody in /proc/PID/cmdline.
NO_HEADER_HAS = "no\nheader"
# What Triton and its stubs get of this process's environment, beside what _environment sets. Others change what Triton
# opens (AIP_MODE), what Python imports (PYTHONPATH) or where requests go (HTTP_PROXY).
INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_")
POLL_S, ANSWER_S = 0.1, 5.0  # between two questions whether a server is ready, and for each answer


@dataclass(frozen=True)
class Server:
    """A Triton that is ready; its `fileno()` becomes readable when it or one of its stubs ends by itself."""

    address: str  # host:port of its HTTP interface
    metrics_address: str
    ended: Waitable
    memory_kills: int  # how many there were before it was started
    watch: Watch

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the server has ended."""
        return self.ended.fileno()

    def why_ended(self) -> ServingError:
        """Return why it ended though nobody asked it to.

        Raises: OutOfMemoryError.
        """
        if self.watch.reason:
            return ServingError(f"Triton is stalled: {self.watch.reason}; it was ended")
        refuse_memory_kill(self.memory_kills)
        return ServingError("Triton, or one of its instances, ended by itself; the reason is in the output above")


@contextmanager
def running(settings: Settings, *, stop: Waitable | None = None) -> Iterator[Server]:
    """Serve the model repository until the end of the `with` block, or until Triton dies or stalls.

    `stop` ends the start early: what `child.stop_signals()` gives, for example.

    Raises: ServingError, as drawn in errors.py.
    """
    wheel = find_wheel()
    kills = memory_kills()
    settings = replace(settings, host=numeric_address(settings.host, "TRITON_HOST"))
    refuse_port_in_use(settings.host, settings.http_port, "TRITON_HOST", "TRITON_HTTP_PORT")
    refuse_port_in_use(settings.host, settings.metrics_port, "TRITON_HOST", "TRITON_METRICS_PORT")
    refuse_limits(settings)
    identifier = secrets.token_hex(8)  # not the run folder's name, which tells the name of the shared memory
    with (
        run_folder(wheel, settings, guard()) as folder,
        child(
            _command(wheel, folder, settings, identifier),
            grace_s=settings.stop_timeout_s,
            environment=_environment(wheel, folder),
            folder=folder,
            capture=True,
        ) as process,
    ):
        log = Log(process.output, sys.stderr, live=settings.log_verbose > 0)
        try:
            _wait_for_triton(process, log, settings, identifier=identifier, kills=kills, stop=stop)
        except BaseException:
            process.kill()  # a Triton that is still loading takes long to end
            raise
        log.forward()
        with watched(process) as (ended, stubs):
            watch = Watch(
                process,
                stubs,
                settings.http_address,
                [each.name for each in models_of(folder / "models")],
                settings.stall_s,
            )
            watch.start()
            try:
                yield Server(settings.http_address, settings.metrics_address, ended, kills, watch)
            finally:
                watch.stop()


def refuse_memory_kill(kills_before: int) -> None:
    """Raise an error where the kernel has killed more processes than `kills_before` because memory ran out.

    Raises: OutOfMemoryError.
    """
    if memory_kills() > kills_before:
        raise OutOfMemoryError(
            f"the kernel killed a process because memory ran out ({memory_limit_bytes() // MIB} MiB): give it more "
            "memory, or set MODEL_INSTANCES or the proxy's MAX_PIXELS to less"
        )


def _command(wheel: Wheel, folder: Path, settings: Settings, identifier: str) -> list[str | Path]:
    return [
        wheel.tritonserver,
        f"--id={identifier}",
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={folder / 'backends'}",
        f"--http-address={_spelled(settings.host)}",
        f"--http-port={settings.http_port}",
        f"--metrics-address={_spelled(settings.host)}",
        f"--metrics-port={settings.metrics_port}",
        "--allow-http=true",
        "--allow-grpc=false",
        "--allow-vertex-ai=false",
        "--allow-sagemaker=false",
        "--allow-gpu-metrics=false",
        "--model-control-mode=none",
        "--disable-auto-complete-config",  # config.pbtxt says everything, and the backend compares it with the model
        f"--http-restricted-api={CLOSED_APIS}:closed={NO_HEADER_HAS}",
        f"--backend-config=python,shm-region-prefix-name={folder.name}_shm_region_",
        "--strict-readiness=true",
        "--exit-on-error=true",
        f"--exit-timeout-secs={max(1, settings.stop_timeout_s - 2)}",
        "--pinned-memory-pool-byte-size=0",  # only a GPU needs it
        f"--log-verbose={max(0, settings.log_verbose - 1)}",
        f"--log-info={'true' if settings.log_verbose else 'false'}",
    ]


def _spelled(address: str) -> str:
    return f"ipv6:{address}" if is_version_6(address) else address  # as Triton's HTTP library wants it


def _environment(wheel: Wheel, folder: Path) -> dict[str, str]:
    """Return the environment in which the stub finds its libraries and this Python's packages."""
    return {name: os.environ[name] for name in INHERITED if os.environ.get(name)} | {
        "PATH": os.pathsep.join([str(folder / ENVIRONMENT / "bin"), os.environ.get("PATH", os.defpath)]),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [*wheel.libraries, os.environ.get("LD_LIBRARY_PATH")])),
        "TMPDIR": str(folder / "tmp"),
        "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime from 1.29 on sends usage data to Microsoft without this
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _wait_for_triton(
    process: Child, log: Log, settings: Settings, *, identifier: str, kills: int, stop: Waitable | None
) -> None:
    def is_served() -> bool:
        return is_ready(settings.http_address, "/v2/health/ready") and _is_itself(settings.http_address, identifier)

    if becomes_ready("Triton", process, is_served, timeout_s=settings.start_timeout_s, stop=stop):
        return
    if process.status is not None:
        refuse_memory_kill(kills)
        raise StartError(f"Triton did not start: {log.reason()} ({settings.model_repository}: {HOW_TO_GET_A_MODEL})")
    process.kill()  # its log ends with it
    raise StartError(
        f"Triton was not ready after {settings.start_timeout_s} s: {log.reason()} "
        "(raise TRITON_START_S if it only needs more time)"
    )


def becomes_ready(
    name: str, process: Child, holds: Callable[[], bool], *, timeout_s: float, stop: Waitable | None
) -> bool:
    """Wait until it holds that a process is ready; return False when the process has ended or the time is over.

    Raises: StopAskedError.
    """
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        happened = first_of([process, *([] if stop is None else [stop])], timeout_s=POLL_S)
        if happened is process or (happened is None and time.monotonic() > deadline_s):
            return False
        if happened is not None:
            raise StopAskedError(f"stopped while {name} was starting")
    return True


def is_ready(address: str, path: str) -> bool:
    """Return whether a server answers 200 at this path."""
    answer = fetch(address, path, timeout_s=ANSWER_S)
    return answer is not None and answer[0] == HTTPStatus.OK


def _is_itself(address: str, identifier: str) -> bool:
    """Return whether the Triton that answers here has this `--id`: another may have taken the port first."""
    answer = fetch(address, "/v2", timeout_s=ANSWER_S)
    return answer is not None and identifier.encode() in answer[1]
