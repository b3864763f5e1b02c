"""What dvc.yaml and dvc.lock say about a stage: dvc.yaml is the only list of what each stage depends on."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from training.errors import ParamsError
from training.files import PIPELINE_FILE, PIPELINE_LOCK


def code_digest(stage: str, pipeline: Path = PIPELINE_FILE) -> str:
    """Return the sha256 over names and bytes of the Python files that a stage depends on.

    Raises: ParamsError, when dvc.yaml has no such stage.
    """
    digest = hashlib.sha256()
    for path in _python_files(dependencies(stage, pipeline), pipeline.parent):
        digest.update(f"{path.relative_to(pipeline.parent)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def dependencies(stage: str, pipeline: Path = PIPELINE_FILE) -> list[str]:
    """Return the paths that a stage depends on.

    Raises: ParamsError, when dvc.yaml has no such stage.
    """
    stages = read_yaml(pipeline).get("stages", {})
    if stage not in stages:
        raise ParamsError(f"{pipeline} has no stage {stage}: run from the repository root")
    return list(stages[stage].get("deps", []))


def _python_files(dependencies: list[str], root: Path) -> Iterator[Path]:
    for dependency in map(root.joinpath, sorted(dependencies)):
        yield from sorted(dependency.rglob("*.py")) if dependency.is_dir() else []
        if dependency.suffix == ".py":
            yield dependency


def lock_digest(stage: str, lock: Path = PIPELINE_LOCK) -> str:
    """Return the sha256 of a stage's entry in dvc.lock: command, dependencies, parameters and outputs.

    Empty if DVC did not run the stage.
    """
    entry = read_yaml(lock).get("stages", {}).get(stage)
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest() if entry else ""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file as DVC itself does; empty if there is none."""
    return YAML(typ="safe").load(path) or {} if path.is_file() else {}
