"""Whether Triton's wheel can serve on this machine."""

import platform
import re
import sys

from inference_server.errors import UnsupportedMachineError

ARCHITECTURES = ("x86_64", "aarch64")
OLDEST_GLIBC = (2, 35)  # the wheel's platform tag is manylinux_2_35
PYTHONS = ((3, 11), (3, 12))  # the stub needs numpy 1.26, which has no wheel for newer ones


def refuse_machine() -> None:
    """Refuse a machine that the wheel does not support.

    Raises: UnsupportedMachineError, which says what works here instead.
    """
    if sys.platform != "linux":
        raise unsupported(f"there is no Triton wheel for {platform.system()}")
    if platform.machine() not in ARCHITECTURES:
        raise UnsupportedMachineError(
            f"there is no Triton wheel for {platform.machine()} processors, only for {' and '.join(ARCHITECTURES)}: "
            "build and run the image with `--platform linux/amd64` if your container engine emulates that"
        )
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(map(int, re.findall(r"\d+", version))) < OLDEST_GLIBC:
        found = f"{libc} {version}" if libc else "another libc"
        raise unsupported(f"Triton's wheel needs glibc 2.35 or newer, but this machine has {found}")
    if sys.version_info[:2] not in PYTHONS:
        found = platform.python_version()
        raise unsupported(
            f"Triton's wheel needs Python 3.11 or 3.12, but this is {found}: name one as PYTHON=python3.12"
        )


def unsupported(reason: str) -> UnsupportedMachineError:
    """Return the error that gives the reason, and what works here instead."""
    return UnsupportedMachineError(f"{reason}; `docker compose up` serves here without it")
