"""What dvc.yaml and dvc.lock say about a stage: dvc.yaml is the only list of what each stage depends on."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from training.errors import DatasetError, ParamsError
from training.files import PIPELINE_FILE, PIPELINE_LOCK

DATA = "data"  # the folder of what git does not keep


def code_digest(stage: str, pipeline: Path = PIPELINE_FILE) -> str:
    """Return the sha256 over names and bytes of the Python files that a stage depends on.

    Raises: ParamsError, when dvc.yaml has no such stage.
    """
    digest = hashlib.sha256()
    for path in _python_files(_dependencies(stage, pipeline), pipeline.parent):
        digest.update(f"{path.relative_to(pipeline.parent)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _dependencies(stage: str, pipeline: Path) -> list[str]:
    stages = _read(pipeline).get("stages", {})
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
    entry = _read(lock).get("stages", {}).get(stage)
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest() if entry else ""


def refuse_damaged_inputs(pipeline: Path = PIPELINE_FILE, lock: Path = PIPELINE_LOCK) -> None:
    """Compare what DVC's cache brought to the stage that DVC runs now with what dvc.lock says that it is.

    DVC itself does not: it trusts whatever its cache holds. By hand, without DVC, nothing is compared.

    Raises: DatasetError, naming what differs.
    """
    stage = os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    if not stage:
        return
    needed = [Path(each) for each in _dependencies(stage, pipeline)]
    for path, recorded in _cached(lock).items():
        needs_it = any(path == each or path in each.parents for each in needed)
        if needs_it and _recorded_md5(pipeline.parent / path) != recorded:
            raise DatasetError(
                f"{path} differs from what {lock} says that it is: an object of DVC's cache is damaged, or somebody "
                "changed it. Delete .dvc/cache and data, and run `dvc repro` again: it makes both anew"
            )


def _cached(lock: Path) -> dict[Path, str]:
    """Return the recorded md5 of each output that DVC keeps in its cache: those below data/."""
    entries = _read(lock).get("stages", {}).values()
    outputs = [out for entry in entries for out in entry.get("outs", ()) if out.get("hash") == "md5"]
    return {Path(out["path"]): out["md5"] for out in outputs if Path(out["path"]).parts[0] == DATA}


def _recorded_md5(path: Path) -> str:
    """Return the md5 of a file, or of a folder as DVC writes it: over the JSON list of its files' paths and md5."""
    if not path.is_dir():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = sorted((file.relative_to(path).parts, file) for file in path.rglob("*") if file.is_file())
    listed = [{"md5": _recorded_md5(file), "relpath": "/".join(parts)} for parts, file in files]
    text = json.dumps(listed, sort_keys=True)
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"


def _read(path: Path) -> dict[str, Any]:
    """Read a YAML file as DVC itself does; empty if there is none."""
    return YAML(typ="safe").load(path) or {} if path.is_file() else {}
