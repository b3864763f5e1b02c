"""Start `tritonserver` from the wheel, wait until it is ready, and end it with all its processes."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from host.addresses import is_version_6
from host.memory import MIB, memory_kills, memory_limit_bytes
from inference_server.addresses import numeric_address, refuse_port_in_use
from inference_server.child import Child, Waitable, child, guard
from inference_server.errors import OutOfMemoryError, ServingError, StartError
from inference_server.limits import refuse_limits
from inference_server.log import Log
from inference_server.ready import becomes_ready, has_identifier, is_ready
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
    _refuse_ports(settings)
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


def _refuse_ports(settings: Settings) -> None:
    refuse_port_in_use(settings.host, settings.http_port, "TRITON_HOST", "TRITON_HTTP_PORT")
    refuse_port_in_use(settings.host, settings.metrics_port, "TRITON_HOST", "TRITON_METRICS_PORT")


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
        address = settings.http_address
        return is_ready(address, "/v2/health/ready") and has_identifier(address, identifier)

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
