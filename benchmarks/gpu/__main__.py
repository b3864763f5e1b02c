"""The command `make gpu-check`: the arguments, the packages, the parts, the record."""

import argparse
import contextlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.errors import BenchmarkError, exit_status, say
from benchmarks.gpu.packages import install, missing, restart_with
from benchmarks.gpu.parts import LEFT_OUT, PARTS, run_parts
from benchmarks.gpu.scope import Scope
from benchmarks.record import RESULTS, make_record

FOLDER = Path(".run/gpu")
VERSIONS = (
    "accelerate", "numpy", "onnxruntime", "onnxruntime-gpu", "segmentation-models-pytorch", "timm", "torch",
)  # fmt: skip


def main() -> None:
    """Measure, and write the record `gpu`.

    Raises: BenchmarkError, when no part could be measured.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before a part imports ONNX Runtime
    options = parser().parse_args()
    packages = FOLDER / "packages"
    if options.wheels and str(packages.resolve()) not in sys.path:
        install(options.wheels, packages)
    restart_with(packages)
    for package in missing():
        say(f"{package} is missing: parts that need it are left out; put its wheel into the folder of --wheels")
    gpu = "the CPU in its place" if options.small else find_gpu()
    if not options.small:
        refuse_blind_torch()
    record = make_record("gpu", "make gpu-check", {"small": options.small, "gpu": gpu, "versions": versions()})
    if options.commit:
        record |= {"commit": options.commit, "dirty": False}
    path = (options.into or (FOLDER if options.small else RESULTS)) / "gpu.json"
    figures = run_parts(options.parts, Scope(options.small, FOLDER), record, path)
    say(f"written: {path}; left out: {', '.join(figures[LEFT_OUT]) or 'nothing'}")
    if not any(part in figures for part in options.parts):
        raise BenchmarkError(
            f"no part could be measured with {sys.executable}: the reasons are above; PYTHON names another Python"
        )


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="What is only known on a GPU.")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all that are not measured yet")
    wheels = os.environ.get("GPU_WHEELS")
    made.add_argument(
        "--wheels", type=Path, default=wheels and Path(wheels), help="folder of wheels to install; default: $GPU_WHEELS"
    )
    made.add_argument("--into", type=Path, help=f"folder of gpu.json; default: {RESULTS.name}, small: {FOLDER}")
    made.add_argument("--commit", help="the sources' commit, on a machine without their git repository")
    made.add_argument("--small", action="store_true", help="show on the CPU that every part works")
    return made


def find_gpu() -> str:
    """Return name, driver and memory of the first GPU.

    Raises: BenchmarkError, when there is none.
    """
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchmarkError(f"there is no GPU ({error}); --small shows on the CPU that every part works") from None
    return done.stdout.splitlines()[0]


def refuse_blind_torch() -> None:
    """Refuse a torch that would take the CPU in the GPU's place.

    Raises: BenchmarkError.
    """
    with contextlib.suppress(ImportError):  # then the parts that need it are left out
        import torch  # noqa: PLC0415 - only where there is a GPU

        if not torch.cuda.is_available():
            raise BenchmarkError(
                f"torch {torch.__version__} sees no GPU: it is one without CUDA, the driver is too old for it, or "
                "CUDA_VISIBLE_DEVICES hides the GPU"
            )


def versions() -> dict[str, str]:
    """Return {package: version} of what is installed, those of --wheels first."""
    found = {d.name.lower().replace("_", "-"): d.version for d in reversed(list(importlib.metadata.distributions()))}
    return {name: found[name] for name in VERSIONS if name in found}


if __name__ == "__main__":
    sys.exit(exit_status(main))
