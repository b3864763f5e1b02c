"""Start Triton, then the proxy; end the proxy first, so that its requests are answered, then Triton."""

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat

from host.addresses import printed, reachable
from host.memory import memory_kills
from inference_server.addresses import numeric_address, refuse_port_in_use
from inference_server.child import Child, Waitable, child, first_of
from inference_server.errors import ServingError, StartError
from inference_server.keeper import Kept, kept
from inference_server.launcher import Server, refuse_memory_kill, running
from inference_server.limits import warn
from inference_server.log import write_line
from inference_server.ready import becomes_ready, is_ready
from launch.settings import Settings, triton_beside


@dataclass(frozen=True)
class Proxy:
    """A proxy that is ready; its `fileno()` becomes readable when it ends by itself."""

    process: Child
    memory_kills: int  # how many there were before it was started

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the proxy has ended."""
        return self.process.fileno()

    def why_ended(self) -> ServingError:
        """Return why it ended though nobody asked it to.

        Raises: OutOfMemoryError.
        """
        self.refuse_memory_kill()
        return ServingError("the proxy ended by itself; the reason is in the output above")

    def refuse_memory_kill(self) -> None:
        """Raise an error where the kernel killed the proxy because memory ran out.

        Raises: OutOfMemoryError.
        """
        if self.process.status == -signal.SIGKILL:  # otherwise it killed one of Triton's
            refuse_memory_kill(self.memory_kills)


@dataclass(frozen=True)
class Service:
    """Triton and the proxy, both kept running."""

    url: str  # of the proxy, for a browser
    triton: Kept[Server]
    proxy: Kept[Proxy]

    def wait(self, stop: Waitable) -> int:
        """Wait until somebody asks to stop, and return the exit status.

        Raises: ServingError when one of the two ended too often.
        """
        ended = first_of([stop, self.triton, self.proxy])
        if ended is stop:
            say("stopping: first the proxy, then Triton")
            return 0
        raise (self.triton if ended is self.triton else self.proxy).error()


@contextmanager
def serving(environment: Mapping[str, str], stop: Waitable) -> Iterator[Service]:
    """Serve until the end of the `with` block.

    Raises: ServingError, as drawn in inference_server/errors.py.
    """
    settings = Settings.from_environment(environment)
    triton_settings = triton_beside(settings.port, environment)
    host = numeric_address(settings.host, "HOST")
    refuse_port_in_use(host, settings.port, "HOST", "PORT")
    warn(environment, triton_settings, say, Settings)
    started_s = time.monotonic()
    restarts = triton_settings.restarts
    say(f"starting Triton with {triton_settings.description}")
    with kept(
        "Triton", lambda stopped: running(triton_settings, stop=stopped), restarts=restarts, stop=stop, say=say
    ) as (triton, server):
        say(f"Triton is ready after {time.monotonic() - started_s:.1f} s; starting the proxy")
        given = {"HOST": host, "PORT": str(settings.port), "TRITON_URL": server.address}
        proxys = {**environment, **given}
        # Ready the first time, which tells that the model fits; later on Triton may be away just then.
        paths = chain(["/health/ready"], repeat("/health/live"))
        with kept(
            "the proxy",
            lambda stopped: _running_proxy(settings, proxys, next(paths), stopped),
            restarts=restarts,
            stop=stop,
            say=say,
        ) as (proxy, _):
            yield Service(f"http://{printed(reachable(host), settings.port)}", triton, proxy)


@contextmanager
def _running_proxy(settings: Settings, environment: Mapping[str, str], path: str, stop: Waitable) -> Iterator[Proxy]:
    refuse_port_in_use(environment["HOST"], settings.port, "HOST", "PORT")  # another would be taken for the proxy
    kills = memory_kills()
    address = printed(reachable(environment["HOST"]), settings.port)
    with child([sys.executable, "-m", "proxy"], grace_s=settings.stop_s, environment=environment) as process:
        proxy = Proxy(process, kills)
        _wait_until_answered(proxy, address, path, settings.start_s, stop)
        yield proxy


def _wait_until_answered(proxy: Proxy, address: str, path: str, start_s: float, stop: Waitable) -> None:
    if becomes_ready("the proxy", proxy.process, lambda: is_ready(address, path), timeout_s=start_s, stop=stop):
        return
    if proxy.process.status is not None:
        proxy.refuse_memory_kill()
        raise StartError("the proxy ended while it started; the reason is in the output above")
    raise StartError(
        f"the proxy was not ready after {start_s:g} s; its output above says why (raise PROXY_START_S if it only needs "
        "more time)"
    )


def refused(error: ServingError) -> int:
    """Tell why it does not serve, and return the exit status."""
    say(str(error))
    return error.exit_status


def say(text: str) -> None:
    """Tell the person at the terminal."""
    write_line(sys.stderr, f"launch: {text}\n")
