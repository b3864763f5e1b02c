"""One benchmark's result as a file: its figures never stand without their command, commit, machine and versions."""

import datetime as dt
import importlib.metadata
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from host.commit import describe_commit
from host.files import write_whole
from host.machine import describe_machine

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
        **describe_commit(".", *NOT_SOURCES),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "packages": packages(),
        "settings": settings,
        "figures": figures,
    }
    path = RESULTS / f"{name}.json"
    write_whole(path, json.dumps(record, indent=1, ensure_ascii=False, default=str) + "\n")
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


def packages() -> dict[str, dict[str, str]]:
    """Return {environment: {package: version}} of the running environment and, where it is there, the serving one."""
    here = Path(sys.prefix)
    return {folder.name: _versions(folder) for folder in (here, SERVING_ENVIRONMENT) if folder.is_dir()}


def _versions(environment: Path) -> dict[str, str]:
    sites = [str(site) for site in environment.glob("lib/python3.*/site-packages")]
    found = {d.name.lower(): d.version for d in importlib.metadata.distributions(path=sites)}
    return {name: found[name] for name in VERSIONS if name in found}
