"""Start Triton, then the proxy; end the proxy first, so that its requests are answered, then Triton."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from inference_server.child import Child, Waitable, child, first_of
from inference_server.errors import ServingError, StartError, StopAskedError
from inference_server.launcher import POLL_S, Server, is_ready, refuse_memory_kill, refuse_port_in_use, running
from inference_server.processor import advice
from launch.settings import Settings, triton_beside


@dataclass(frozen=True)
class Service:
    """Triton and the proxy, both ready."""

    url: str  # of the proxy, for a browser
    triton: Server
    proxy: Child

    def wait(self, stop: Waitable) -> int:
        """Wait until somebody asks to stop, and return the exit status.

        Raises: ServingError when one of the two ends by itself.
        """
        ended = first_of([stop, self.triton, self.proxy])
        if ended is stop:
            say("stopping: first the proxy, then Triton")
            return 0
        raise self.triton.why_ended() if ended is self.triton else self.triton.why_ended("the proxy")


@contextmanager
def serving(environment: Mapping[str, str], stop: Waitable) -> Iterator[Service]:
    """Serve until the end of the `with` block.

    Raises: ServingError, as drawn in inference_server/errors.py.
    """
    settings = Settings.from_environment(environment)
    triton_settings = triton_beside(settings.port, environment)
    refuse_port_in_use(settings.host, settings.port, "PORT")
    started_s = time.monotonic()
    say(f"starting Triton with {triton_settings.description}")
    with running(triton_settings, stop=stop) as triton:
        if warning := advice(triton_settings.model_repository):
            say(warning)
        say(f"Triton is ready after {time.monotonic() - started_s:.1f} s; starting the proxy")
        for_the_proxy = {"HOST": settings.host, "PORT": str(settings.port), "TRITON_URL": triton.address}
        command = [sys.executable, "-m", "proxy"]
        with child(command, grace_s=settings.stop_s, environment={**environment, **for_the_proxy}) as proxy:
            _wait_until_ready(proxy, settings, stop, triton.memory_kills)
            yield Service(f"http://{settings.address}", triton, proxy)


def _wait_until_ready(proxy: Child, settings: Settings, stop: Waitable, memory_kills: int) -> None:
    deadline_s = time.monotonic() + settings.start_s
    while not is_ready(settings.address, "/health/ready"):
        happened = first_of([proxy, stop], timeout_s=POLL_S)
        if happened is proxy:
            refuse_memory_kill(memory_kills)
            raise StartError("the proxy ended while it started; the reason is in the output above")
        if happened is not None:
            raise StopAskedError("stopped while the proxy was starting")
        if time.monotonic() > deadline_s:
            raise StartError(f"the proxy was not ready after {settings.start_s} s: raise PROXY_START_S")


def refused(error: ServingError) -> int:
    """Tell why it does not serve, and return the exit status."""
    say(str(error))
    return error.exit_status


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stderr.write(f"launch: {text}\n")
    sys.stderr.flush()
