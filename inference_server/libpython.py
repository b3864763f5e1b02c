"""The shared library of the running Python, which Triton's Python stub needs.

Debian and Ubuntu link their interpreters statically and have a package of its own for `libpython3.x`, so a fresh
machine may lack it. `python -m inference_server.prepare libpython` then extracts it from that package into the virtual
environment. It needs no root and installs nothing.
"""

import ctypes.util
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from inference_server.errors import UnsupportedMachineError
from inference_server.machine import unsupported

VERSION = ".".join(map(str, sys.version_info[:2]))
TIMEOUT_S = 120


def libpython_folder(version: str = VERSION) -> str:
    """Return the folder that holds libpython; an empty text where the system's loader finds it without help.

    Raises: UnsupportedMachineError, which names the package that contains it.
    """
    name = f"libpython{version}.so.1.0"
    for folder in (Path(sysconfig.get_config_var("LIBDIR") or "/"), Path(sys.base_prefix, "lib"), _own_folder()):
        if (folder / name).exists():
            return str(folder)
    if ctypes.util.find_library(f"python{version}"):
        return ""
    raise unsupported(f"this Python has no {name} (`apt-get install libpython{version}` installs it)")


def _own_folder() -> Path:
    return Path(sys.prefix, "lib")


def fetch(version: str = VERSION) -> None:
    """Extract libpython from the distribution's package where it is missing.

    Raises: UnsupportedMachineError where that fails.
    """
    try:
        libpython_folder(version)
    except UnsupportedMachineError as missing:
        try:
            _extract(version)
        except (OSError, subprocess.SubprocessError) as error:
            raise UnsupportedMachineError(f"{missing}; extracting it from that package failed: {error}") from None


def _extract(version: str) -> None:
    package, name = f"libpython{version}", f"libpython{version}.so.1.0"
    with tempfile.TemporaryDirectory(
        dir=_own_folder()
    ) as folder:  # on the same disk, so that the library appears whole
        subprocess.run(["apt-get", "-q", "download", package], cwd=folder, check=True, timeout=TIMEOUT_S)
        for archive in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", archive, folder], check=True, timeout=TIMEOUT_S)
        library = next(Path(folder).rglob(name), None)
        if library is None:
            raise FileNotFoundError(f"the package has no {name}")
        library.replace(_own_folder() / name)
