"""The shared library of the running Python, which Triton's Python stub is linked with.

Debian's and Ubuntu's interpreters are linked statically and their `libpython3.x` is a package of its own, so a fresh
machine may lack it. `python -m inference_server.libpython` then takes it out of that package into the virtual
environment, as a user and without installing anything.
"""

import ctypes.util
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from inference_server.errors import UnsupportedMachineError
from inference_server.machine import exit_status, unsupported

VERSION = ".".join(map(str, sys.version_info[:2]))
TIMEOUT_S = 120


def libpython_folder(version: str = VERSION) -> str:
    """Return the folder that holds libpython; an empty text where the system's loader finds it anyway.

    Raises: UnsupportedMachineError, which names the package that brings it.
    """
    name = f"libpython{version}.so.1.0"
    for folder in (Path(sysconfig.get_config_var("LIBDIR") or "/"), Path(sys.base_prefix, "lib"), _own_folder()):
        if (folder / name).exists():
            return str(folder)
    if ctypes.util.find_library(f"python{version}"):
        return ""
    raise unsupported(f"this Python has no {name} (`apt-get install libpython{version}` brings it)")


def _own_folder() -> Path:
    return Path(sys.prefix, "lib")


def bring(version: str = VERSION) -> None:
    """Take libpython out of the machine's own package archive, where it is missing and there is one.

    Raises: UnsupportedMachineError, when it can't be had this way.
    """
    try:
        libpython_folder(version)
    except UnsupportedMachineError as missing:
        try:
            _extract(version)
        except (OSError, subprocess.SubprocessError) as error:
            raise UnsupportedMachineError(f"{missing}; taking it out of that package failed: {error}") from None


def _extract(version: str) -> None:
    package, name = f"libpython{version}", f"libpython{version}.so.1.0"
    with tempfile.TemporaryDirectory(dir=_own_folder()) as folder:  # there, so that the library is moved in whole
        subprocess.run(["apt-get", "-q", "download", package], cwd=folder, check=True, timeout=TIMEOUT_S)
        for archive in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, folder], check=True, timeout=TIMEOUT_S)
        library = next(Path(folder).rglob(name), None)
        if library is None:
            raise FileNotFoundError(f"it holds no {name}")
        library.replace(_own_folder() / name)


if __name__ == "__main__":
    sys.exit(exit_status(bring))
