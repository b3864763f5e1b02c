"""`python -m inference_server.machine`: can Triton's wheel serve here? Asked before anything is installed."""

import platform
import sys

from inference_server.errors import ServingError, UnsupportedMachineError

OLDEST_GLIBC = (2, 35)  # the wheel's platform tag is manylinux_2_35
PYTHONS = ((3, 11), (3, 12))  # the stub wants numpy 1.26, which has no wheel for newer ones


def refuse_machine() -> None:
    """Refuse a machine that has no wheel.

    Raises: UnsupportedMachineError, in one line that names the way that works here.
    """
    if sys.platform != "linux":
        raise unsupported(f"there is no Triton wheel for {platform.system()}")
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(map(int, version.split("."))) < OLDEST_GLIBC:
        raise unsupported(
            f"Triton's wheel needs glibc 2.35 or newer, this machine has {libc or 'another libc'} {version}"
        )
    if sys.version_info[:2] not in PYTHONS:
        raise unsupported(f"Triton's wheel serves under Python 3.11 or 3.12, this is {platform.python_version()}")


def unsupported(reason: str) -> UnsupportedMachineError:
    """Return the error that says why, and what serves here instead."""
    return UnsupportedMachineError(f"{reason}; `docker compose up` serves here all the same")


def main() -> int:
    """Say why not, if so, and return the exit status."""
    try:
        refuse_machine()
    except ServingError as error:
        sys.stderr.write(f"inference_server: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
