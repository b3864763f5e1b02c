"""Start `tritonserver` from the wheel, wait until it is ready, and end it with all its processes."""

import errno
import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from host.addresses import is_version_6, numeric_addresses, printed
from host.memory import MIB, memory_kills, memory_limit_bytes
from inference_server.child import Child, Waitable, child, first_of, guard
from inference_server.errors import (
    OutOfMemoryError,
    PortInUseError,
    ServingError,
    SettingError,
    StartError,
    StopAskedError,
)
from inference_server.limits import refuse_limits
from inference_server.log import Log
from inference_server.run_folder import ENVIRONMENT, HOW_TO_GET_A_MODEL, models_of, run_folder
from inference_server.settings import Settings
from inference_server.stubs import watched
from inference_server.watch import Watch
from inference_server.wheel import Wheel, find_wheel

CLOSED_APIS = "shared-memory,model-repository,trace,logging"
# Triton opens these to a header of this value. It holds a line break, which ends a header: no request can send it. So
# nobody can open them, and the value may be read by everybody in /proc/PID/cmdline.
NO_HEADER_HAS = "no\nheader"
# What Triton and its stubs get of this process's environment, beside what _environment sets. Others change what Triton
# opens (AIP_MODE), what Python imports (PYTHONPATH) or where requests go (HTTP_PROXY).
INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_")
POLL_S = 0.1
RELEASE_S = 2.0  # that a port may take to become free after its owner was killed


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

    def why_ended(self, who: str = "Triton, or one of its instances,") -> ServingError:
        """Return the error of a server, or of what depends on it, that ended though nobody asked it to.

        Raises: OutOfMemoryError.
        """
        refuse_memory_kill(self.memory_kills)
        if self.watch.reason:
            return ServingError(f"Triton is stalled: {self.watch.reason}; it was ended")
        return ServingError(f"{who} ended by itself; the reason is in the output above")


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
    with (
        run_folder(wheel, settings, guard()) as folder,
        child(
            _command(wheel, folder, settings),
            grace_s=settings.stop_timeout_s,
            environment=_environment(wheel, folder),
            folder=folder,
            capture=True,
        ) as process,
    ):
        log = Log(process.output, sys.stderr, live=settings.log_verbose > 0)
        try:
            _wait_until_ready(process, log, settings, kills, [] if stop is None else [stop])
        except BaseException:
            process.kill()  # a Triton that is still loading takes long to end
            raise
        log.forward()
        with watched(process) as (ended, stubs):
            watch = Watch(
                process,
                stubs,
                settings.http_address,
                [each.name for each in models_of(settings.model_repository)],
                settings.stall_s,
            )
            watch.start()
            try:
                yield Server(settings.http_address, settings.metrics_address, ended, kills, watch)
            finally:
                watch.stop()


def numeric_address(host: str, variable: str) -> str:
    """Return the address that a host name stands for.

    Raises: SettingError, which names the environment variable.
    """
    try:
        return numeric_addresses(host)[0]
    except OSError as error:
        raise SettingError(
            f"{variable} is {host!r}, which no address is known for ({error.strerror}): give an address of this machine"
        ) from None


def refuse_port_in_use(host: str, port: int, host_variable: str, port_variable: str) -> None:
    """Refuse an address that cannot be listened on; one that has just been left may take a moment to become free.

    Raises: PortInUseError, which names the environment variable to change.
    """
    deadline_s = time.monotonic() + RELEASE_S
    while (error := _listen_error(host, port)) is not None:
        if error.errno != errno.EADDRINUSE or time.monotonic() > deadline_s:
            port_is_wrong = error.errno in (errno.EADDRINUSE, errno.EACCES)
            mend = (
                f"{port_variable} to a free port" if port_is_wrong else f"{host_variable} to an address of this machine"
            )
            raise PortInUseError(f"cannot listen on {printed(host, port)} ({error.strerror}): set {mend}") from None
        time.sleep(POLL_S)


def _listen_error(host: str, port: int) -> OSError | None:
    with socket.socket(socket.AF_INET6 if is_version_6(host) else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a port in TIME_WAIT counts as free
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def refuse_memory_kill(kills_before: int) -> None:
    """Raise an error where the kernel has killed more processes than `kills_before` because memory ran out.

    Raises: OutOfMemoryError.
    """
    if memory_kills() > kills_before:
        raise OutOfMemoryError(
            f"the kernel killed a process because memory ran out ({memory_limit_bytes() // MIB} MiB): give it more "
            "memory, or set MODEL_INSTANCES or the proxy's MAX_PIXELS to less"
        )


def _command(wheel: Wheel, folder: Path, settings: Settings) -> list[str | Path]:
    return [
        wheel.tritonserver,
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


def _wait_until_ready(process: Child, log: Log, settings: Settings, kills: int, stop: Sequence[Waitable]) -> None:
    deadline_s = time.monotonic() + settings.start_timeout_s
    while not is_ready(settings.http_address, "/v2/health/ready"):
        happened = first_of([process, *stop], timeout_s=POLL_S)
        if happened is process:
            refuse_memory_kill(kills)
            raise StartError(
                f"Triton did not start: {log.reason()} ({settings.model_repository}: {HOW_TO_GET_A_MODEL})"
            )
        if happened is not None:
            raise StopAskedError("stopped while Triton was starting")
        if time.monotonic() > deadline_s:
            raise StartError(
                f"Triton was not ready after {settings.start_timeout_s} s: {log.reason()} "
                "(raise TRITON_START_S if it only needs more time)"
            )


def is_ready(address: str, path: str) -> bool:
    """Return whether a server answers 200 at this path."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
