"""Where the parts of the `nvidia-pytriton` wheel are, and whether they can run on this machine."""

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path

from inference_server.libpython import libpython_folder
from inference_server.machine import refuse_machine, unsupported


@dataclass(frozen=True)
class Wheel:
    """The parts of the wheel that a server is made of."""

    tritonserver: Path
    python_backend: Path  # libtriton_python.so, and the module through which a model.py talks to Triton
    stub: Path  # of the running Python's version
    libraries: tuple[str, ...]  # folders that must come first in LD_LIBRARY_PATH


def find_wheel() -> Wheel:
    """Find the wheel in the running environment.

    Raises: UnsupportedMachineError, which says what works here instead.
    """
    refuse_machine()
    try:
        distribution = importlib.metadata.distribution("nvidia-pytriton")
    except importlib.metadata.PackageNotFoundError:
        raise unsupported(
            f"the nvidia-pytriton wheel is not installed in {sys.prefix} (`make setup` installs it)"
        ) from None
    _refuse_numpy()
    site = Path(str(distribution.locate_file("")))
    triton = site / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Wheel(
        tritonserver=triton / "bin" / "tritonserver",
        python_backend=triton / "backends" / "python",
        stub=triton / "python_backend_stubs" / version / "triton_python_backend_stub",
        libraries=tuple(filter(None, [str(site / "nvidia_pytriton.libs"), libpython_folder(version)])),
    )


def _refuse_numpy() -> None:
    numpy_version = importlib.metadata.version("numpy")
    if int(numpy_version.split(".")[0]) > 1:
        raise unsupported(
            f"Triton's Python backend fails with numpy {numpy_version} (install numpy < 2 in {sys.prefix})"
        )
