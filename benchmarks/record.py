"""One benchmark's result as a file: its figures never stand without their command, commit, machine and versions."""

import datetime as dt
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference_server.cores import usable_cores

RESULTS = Path(__file__).parent / "results"
# What a run writes itself does not make its sources dirty: several benchmarks run one after the other.
NOT_SOURCES = (":!benchmarks/results", ":!docs/performance.md", ":!docs/scaling.md", ":!docs/images")
# Read beside the environment that runs the benchmark: Triton and the proxy have their own.
SERVING_ENVIRONMENT = Path(".venv-serving")
VERSIONS = (
    "aiohttp", "bentoml", "fastapi", "k6", "litserve", "numpy", "nvidia-pytriton", "onnxruntime", "openvino", "orjson",
    "pillow", "torch", "tritonclient", "uvicorn",
)  # fmt: skip


def write_record(name: str, *, command: str, figures: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Write `benchmarks/results/<name>.json`, aside first, and return its path.

    command: what a person types to measure it again. settings: what was chosen, such as concurrency and seconds.
    """
    record = {
        "name": name,
        "command": command,
        **_commit(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": packages(),
        "settings": settings,
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(record, indent=1, ensure_ascii=False, default=str) + "\n")
    aside.replace(path)
    return path


def made_by(target: str) -> str:
    """Return the command of a benchmark that `make` started with the running process's arguments."""
    arguments = shlex.join(sys.argv[1:])
    return f"make {target}" + (f" ARGS={shlex.quote(arguments)}" if arguments else "")


def read_record(name: str) -> dict[str, Any] | None:
    """Return what `write_record` wrote, or None where the benchmark was not run."""
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def machine() -> dict[str, str | int]:
    """Return processor, cores that may be used, memory in MiB, kernel and interpreter."""
    return {
        "cpu": _first_value(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "usable_cores": usable_cores(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def packages() -> dict[str, dict[str, str]]:
    """Return {environment: {package: version}} of the running environment and, where it is there, the serving one."""
    here = Path(sys.prefix)
    return {folder.name: _versions(folder) for folder in (here, SERVING_ENVIRONMENT) if folder.is_dir()}


def _versions(environment: Path) -> dict[str, str]:
    sites = [str(site) for site in environment.glob("lib/python3.*/site-packages")]
    found = {d.name.lower(): d.version for d in importlib.metadata.distributions(path=sites)}
    return {name: found[name] for name in VERSIONS if name in found}


def _commit() -> dict[str, str | bool]:
    """Return HEAD and whether the sources differ from it."""
    head = _git("rev-parse", "HEAD") or "unknown"
    return {"commit": head, "dirty": head == "unknown" or bool(_git("status", "--porcelain", "--", ".", *NOT_SOURCES))}


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _first_value(path: Path, key: str) -> str:
    """Return the first value of a `key : value` file, empty where there is none."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
