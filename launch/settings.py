"""What can be set for the two together; the other variables are the proxy's and inference_server's, and reach both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from host.environment import ADDRESS, PORT_NUMBER, read_environment, seconds, variable, whole_number
from inference_server.errors import SettingError
from inference_server.settings import Settings as TritonSettings

# 8000 and 8002 become 9000 and 9002: far from what a person would choose beside PORT=8000.
PORT_DISTANCE = 1000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the proxy listens, and how long it may take."""

    host: str = variable("HOST", "127.0.0.1", ADDRESS, "address where the proxy listens")
    port: int = variable(
        "PORT", 8080, PORT_NUMBER, "TCP port where the proxy listens; a default port of Triton's makes way for it"
    )
    start_s: int = variable("PROXY_START_S", 30, whole_number(1, 600), "seconds until the proxy must be ready")
    stop_s: int = variable(
        "PROXY_STOP_S",
        30,
        whole_number(1, 600),
        "seconds until the proxy is killed after a stop signal; more than SHUTDOWN_GRACE_S",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read and check the variables, also against one of the proxy's that limits them.

        Raises: SettingError, which names the variable.
        """
        settings = read_environment(cls, environment, SettingError)
        grace = read_environment(_Grace, environment, SettingError)
        if grace.shutdown_grace_s >= settings.stop_s:
            raise SettingError(
                f"SHUTDOWN_GRACE_S is {grace.shutdown_grace_s:g} and PROXY_STOP_S is {settings.stop_s}, so the proxy "
                "would be killed before its grace period is over: give PROXY_STOP_S more"
            )
        return settings


@dataclass(frozen=True)
class _Grace:
    """What of the proxy's settings limits those here; proxy/settings.py declares it for the proxy."""

    shutdown_grace_s: float = variable("SHUTDOWN_GRACE_S", 20.0, seconds(0, 3600), "of the proxy")


def triton_beside(port: int, environment: Mapping[str, str]) -> TritonSettings:
    """Return Triton's settings, in which a default port that equals the proxy's is replaced.

    Raises: SettingError where the environment gives both the same port.
    """
    defaults = TritonSettings()
    ports = {}
    for name, default in (("TRITON_HTTP_PORT", defaults.http_port), ("TRITON_METRICS_PORT", defaults.metrics_port)):
        if environment.get(name) == str(port):
            raise SettingError(f"PORT and {name} are both {port}: change one")
        if not environment.get(name) and default == port:
            ports[name] = str(default + PORT_DISTANCE)
    return TritonSettings.from_environment({**environment, **ports})
