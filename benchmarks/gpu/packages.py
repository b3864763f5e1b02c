"""Installs wheels from a folder into a folder of their own, for a machine without a network; names what is missing.

A wheel that is too large to travel may come in parts, NAME.whl.part-00, NAME.whl.part-01 and so on.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.errors import ToolMissingError, say

PART = ".part-"
# What the parts import, and the package that has it
NEEDED = {
    "accelerate": "accelerate", "annotated_types": "annotated-types", "numpy": "numpy", "onnx": "onnx",
    "onnxruntime": "onnxruntime-gpu", "PIL": "pillow", "pydantic": "pydantic", "pydantic_core": "pydantic-core",
    "ruamel.yaml": "ruamel.yaml", "safetensors": "safetensors",
    "segmentation_models_pytorch": "segmentation-models-pytorch", "sklearn": "scikit-learn", "timm": "timm",
    "torch": "torch", "torchvision": "torchvision", "tqdm": "tqdm", "typing_inspection": "typing-inspection",
}  # fmt: skip


def install(wheels: Path, target: Path) -> None:
    """Install every wheel of a folder into another folder, without what the wheels ask for; once is enough.

    Raises: ToolMissingError, when there is no wheel or pip refuses one.
    """
    content = "".join(f"{path.name} {path.stat().st_size}\n" for path in sorted(wheels.glob("*.whl*")))
    stamp = target / "installed"
    if not content:
        raise ToolMissingError(f"{wheels} has no wheel: put there what `pip download` brought on another machine")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == content:
        return
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as joined:
        found = sorted([*wheels.glob("*.whl"), *join_parts(wheels, Path(joined))])
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
        done = subprocess.run([*pip, *map(str, found)], capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ToolMissingError(
            f"pip could not install the wheels of {wheels}: {done.stderr.strip()[-500:]} "
            f"(Python is {sys.executable}: PYTHON names another)"
        )
    stamp.write_text(content, encoding="utf-8")
    say(f"installed in {target}: {', '.join(path.name.split('-')[0] for path in found)}")


def join_parts(folder: Path, into: Path) -> list[Path]:
    """Join the parts of each split wheel, in the order of their names, and return the wheels."""
    parts: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.glob(f"*.whl{PART}*")):
        parts[path.name.partition(PART)[0]].append(path)
    for name, paths in parts.items():
        with (into / name).open("wb") as wheel:
            for path in paths:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, wheel)
    return [into / name for name in parts]


def restart_with(packages: Path) -> None:
    """Start this program again with the installed packages before all others, unless it was, or there are none."""
    folder = str(packages.resolve())
    if packages.is_dir() and folder not in sys.path:
        path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        program = [sys.executable, "-m", "benchmarks.gpu", *sys.argv[1:]]
        os.execve(sys.executable, program, os.environ | {"PYTHONPATH": path})  # noqa: S606 - no shell


def missing() -> list[str]:
    """Return the packages that are not installed, of those that the parts import."""
    return [package for name, package in NEEDED.items() if not _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False
