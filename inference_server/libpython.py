"""The shared library of the running Python, which Triton's Python stub is linked with.

Debian's and Ubuntu's interpreters are linked statically and their `libpython3.x` is a package of its own, so a fresh
machine may lack it. `python -m inference_server.libpython` then takes it out of that package into the virtual
environment, as a user and without installing anything.
"""

import ctypes.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from inference_server.errors import ServingError, UnsupportedMachineError

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
    raise UnsupportedMachineError(f"this Python has no {name} (`apt-get install libpython{version}` brings it)")


def _own_folder() -> Path:
    return Path(sys.prefix, "lib")


def bring(version: str = VERSION) -> None:
    """Take libpython out of the machine's own package archive, where it is missing and there is one.

    Raises: UnsupportedMachineError, when it can't be had this way.
    """
    try:
        libpython_folder(version)
    except UnsupportedMachineError:
        if not _extract(version):
            raise


def _extract(version: str) -> bool:
    package, name = f"libpython{version}", f"libpython{version}.so.1.0"
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["apt-get", "-q", "download", package], cwd=folder, check=True, timeout=TIMEOUT_S)
            for archive in Path(folder).glob("*.deb"):
                subprocess.run(["dpkg-deb", "-x", archive, folder], check=True, timeout=TIMEOUT_S)
        except (OSError, subprocess.SubprocessError):
            return False
        for library in Path(folder).rglob(name):
            aside = _own_folder() / f"{name}.new"
            shutil.copyfile(library, aside)
            aside.replace(_own_folder() / name)
            return True
    return False


def main() -> int:
    """Bring it, or say what does, and return the exit status."""
    try:
        bring()
    except ServingError as error:
        sys.stderr.write(f"inference_server: {error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
