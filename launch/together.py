"""Start Triton, then the proxy; end the proxy, so that its requests are answered, then Triton.

| variable      | unit, range    | default                                                    |
|---------------|----------------|------------------------------------------------------------|
| HOST          | address        | 127.0.0.1, where the proxy listens                         |
| PORT          | 1–65535        | 8080; a default port of Triton's steps aside for it        |
| PROXY_START_S | seconds, 1–600 | 30, until the proxy must be ready                          |
| PROXY_STOP_S  | seconds, 1–600 | 30, until it is killed; longer than its SHUTDOWN_GRACE_S   |

The other variables are those of inference_server/settings.py and of the proxy; all reach both.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from inference_server.child import Child, Waitable, child, first_of
from inference_server.errors import ServingError, SettingError, StartError, StopAskedError
from inference_server.launcher import POLL_S, Server, is_ready, refuse_port_in_use, running
from inference_server.memory import refuse_memory_kill
from inference_server.processor import advice
from inference_server.settings import DEFAULT_HTTP_PORT, DEFAULT_METRICS_PORT, Settings, whole_number

ASIDE = 1000  # 8000 and 8002 become 9000 and 9002: far from what a person would choose beside PORT=8000


@dataclass(frozen=True)
class Service:
    """Both are ready."""

    url: str  # of the proxy, as a browser wants it
    triton: Server
    proxy: Child

    def wait(self, stop: Waitable) -> int:
        """Wait until somebody asks to stop, and return the exit status.

        Raises: ServingError when one of the two ends by itself.
        """
        ended = first_of([stop, self.triton, self.proxy])
        if ended is stop:
            say("asked to stop: ending the proxy, then Triton")
            return 0
        raise self.triton.why_ended() if ended is self.triton else self.triton.why_ended("the proxy")


@contextmanager
def serving(environment: Mapping[str, str], stop: Waitable) -> Iterator[Service]:
    """Serve until the end of the `with` block.

    Raises: ServingError, as drawn in inference_server/errors.py.
    """
    host, port = environment.get("HOST") or "127.0.0.1", whole_number(environment, "PORT", 8080, 1, 65535)
    settings = Settings.from_environment(beside(port, environment))
    start_s = whole_number(environment, "PROXY_START_S", 30, 1, 600)
    stop_s = whole_number(environment, "PROXY_STOP_S", 30, 1, 600)
    refuse_port_in_use(host, port, "PORT")
    started_s = time.monotonic()
    say(f"starting Triton with {settings.description}")
    with running(settings, stop=stop) as triton:
        if warning := advice(settings.model_repository):
            say(warning)
        say(f"Triton is ready after {time.monotonic() - started_s:.1f} s; starting the proxy")
        proxy_environment = {**environment, "HOST": host, "PORT": str(port), "TRITON_URL": triton.address}
        with child([sys.executable, "-m", "proxy"], grace_s=stop_s, environment=proxy_environment) as proxy:
            address = f"{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104  compared, not bound
            _wait_until_ready(proxy, address, start_s, stop, triton.memory_kills)
            yield Service(f"http://{address}", triton, proxy)


def beside(port: int, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment in which Triton's ports are not the proxy's: a default one makes way.

    Raises: SettingError where the environment itself names one port twice.
    """
    ports = {}
    for name, default in (("TRITON_HTTP_PORT", DEFAULT_HTTP_PORT), ("TRITON_METRICS_PORT", DEFAULT_METRICS_PORT)):
        if environment.get(name) == str(port):
            raise SettingError(f"PORT and {name} are both {port}: change one")
        if not environment.get(name) and default == port:
            ports[name] = str(default + ASIDE)
    return {**environment, **ports}


def _wait_until_ready(proxy: Child, address: str, timeout_s: int, stop: Waitable, memory_kills: int) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_ready(address, "/health/ready"):
        happened = first_of([proxy, stop], timeout_s=POLL_S)
        if happened is proxy:
            refuse_memory_kill(memory_kills)
            raise StartError("the proxy ended while it started; what it wrote stands above")
        if happened is not None:
            raise StopAskedError("asked to stop while the proxy was starting")
        if time.monotonic() > deadline_s:
            raise StartError(f"the proxy was not ready after {timeout_s} s (PROXY_START_S raises it)")


def refused(error: ServingError) -> int:
    """Say why it does not serve and return the exit status."""
    say(str(error))
    return error.exit_status


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stderr.write(f"launch: {text}\n")
    sys.stderr.flush()
