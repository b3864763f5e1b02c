"""Where the parts of the `nvidia-pytriton` wheel are, and whether they can run on this machine."""

import ctypes.util
import importlib.metadata
import platform
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from inference_server.errors import UnsupportedMachineError

OLDEST_GLIBC = (2, 35)  # the wheel's platform tag is manylinux_2_35
PYTHONS = ((3, 11), (3, 12))  # the stub wants numpy 1.26, which has no wheel for newer ones


@dataclass(frozen=True)
class Wheel:
    """The parts of the wheel that a server is made of."""

    tritonserver: Path
    python_backend: Path  # libtriton_python.so, and the module that a model.py talks to Triton with
    stub: Path  # of the running Python's version
    libraries: tuple[str, ...]  # the folders that LD_LIBRARY_PATH must begin with


def find_wheel() -> Wheel:
    """Find the wheel in the running environment.

    Raises: UnsupportedMachineError, in one line that names the way that works here.
    """
    _refuse_machine()
    try:
        distribution = importlib.metadata.distribution("nvidia-pytriton")
    except importlib.metadata.PackageNotFoundError:
        raise _unsupported(
            f"the nvidia-pytriton wheel is not installed in {sys.prefix} (`make setup` makes an environment with it)"
        ) from None
    _refuse_numpy()
    site = Path(str(distribution.locate_file("")))
    triton = site / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Wheel(
        tritonserver=triton / "bin" / "tritonserver",
        python_backend=triton / "backends" / "python",
        stub=triton / "python_backend_stubs" / version / "triton_python_backend_stub",
        libraries=tuple(filter(None, [str(site / "nvidia_pytriton.libs"), _libpython_folder(version)])),
    )


def _refuse_machine() -> None:
    if sys.platform != "linux":
        raise _unsupported(f"there is no Triton wheel for {platform.system()}")
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(map(int, version.split("."))) < OLDEST_GLIBC:
        raise _unsupported(
            f"Triton's wheel needs glibc 2.35 or newer, this machine has {libc or 'another libc'} {version}"
        )
    if sys.version_info[:2] not in PYTHONS:
        raise _unsupported(f"Triton's wheel serves under Python 3.11 or 3.12, this is {platform.python_version()}")


def _refuse_numpy() -> None:
    numpy_version = importlib.metadata.version("numpy")
    if int(numpy_version.split(".")[0]) > 1:
        raise _unsupported(
            f"numpy {numpy_version} makes Triton's Python backend fail: install numpy < 2 in {sys.prefix}"
        )


def _libpython_folder(version: str) -> str:
    """Return the folder that holds libpython, which the stub is linked with; none where the system has it anyway."""
    name = f"libpython{version}.so.1.0"
    for folder in (Path(sysconfig.get_config_var("LIBDIR") or "/"), Path(sys.base_prefix, "lib")):
        if (folder / name).exists():
            return str(folder)
    if ctypes.util.find_library(f"python{version}"):
        return ""
    raise _unsupported(f"this Python has no {name} (`apt-get install libpython{version}` brings it)")


def _unsupported(reason: str) -> UnsupportedMachineError:
    return UnsupportedMachineError(f"{reason}; `docker compose up` serves here all the same")
