"""Addresses of the settings: names are resolved, and what cannot be listened on is refused before anything starts."""

import errno
import socket
import time

from host.addresses import is_version_6, numeric_addresses, printed
from inference_server.errors import PortInUseError, SettingError

POLL_S = 0.1
RELEASE_S = 2.0  # that a port may take to become free after its owner was killed


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
    try:
        with socket.socket(socket.AF_INET6 if is_version_6(host) else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a port in TIME_WAIT counts as free
            probe.bind((host, port))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # no fault of the address
            raise
        return error
    return None
