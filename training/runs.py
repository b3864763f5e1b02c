"""Do files come from one run? dvc.lock has, for each stage, what it read and what it wrote when it last ran.

`dvc repro` keeps them together. `dvc exp run train`, `--single-item` and a stage run by hand do not: then weights,
figures and graphs of different runs lie beside each other.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import DatasetError, MixedRunsError
from training.files import PACKAGES_RECORD, PIPELINE_FILE, PIPELINE_LOCK
from training.params import PARAMS_FILE
from training.pipeline import dependencies, read_yaml

DATA = "data"  # the folder of what git does not keep


@dataclass(frozen=True)
class Stale:
    """A stage that has to run again before its files belong to the others, and why."""

    stage: str
    reason: str


def refuse_unfit_inputs(root: Path = Path()) -> None:
    """Check the inputs of the stage that DVC runs now: they are what dvc.lock says, and come from one run.

    DVC itself trusts whatever its cache holds and, with --single-item, whatever earlier stages left. By hand, without
    DVC, nothing is compared.

    Raises: DatasetError or MixedRunsError, naming what differs.
    """
    stage = os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    if not stage:
        return
    written = _written(_entries(root))
    needed = dependencies(stage, root / PIPELINE_FILE)
    for path, (_, recorded) in written.items():
        needs_it = any(_overlap(path, each) for each in needed)
        if Path(path).parts[0] == DATA and needs_it and _md5(root / path) != recorded:
            raise DatasetError(
                f"{path} differs from what {PIPELINE_LOCK} says that it is: an object of DVC's cache is damaged, or "
                "somebody changed it. Delete .dvc/cache and data, and run `dvc repro` again: it makes both anew"
            )
    refuse_mixed_runs([Path(path) for path in needed if path in written], root)


def _overlap(one: str, other: str) -> bool:
    """Return whether two paths are the same, or one is a folder that holds the other."""
    return one == other or Path(one) in Path(other).parents or Path(other) in Path(one).parents


def refuse_mixed_runs(paths: Iterable[Path], root: Path = Path(), *, as_configured: bool = False) -> None:
    """Check that files come from one run, which had the root's params.yaml and code if as_configured.

    Raises: MixedRunsError, naming the stage to run.
    """
    if stale := stale_stage(paths, root, as_configured=as_configured):
        raise MixedRunsError(f"{stale.reason}: run `dvc repro {stale.stage}`")


def stale_stage(paths: Iterable[Path], root: Path = Path(), *, as_configured: bool = False) -> Stale | None:
    """Return the first stage that has to run again before these files come from one run; None if they do.

    They do if each is what its stage wrote, and every stage behind them read what the stage before it wrote last. Where
    there is no dvc.lock, nothing is compared.

    paths: relative to the root. as_configured: the run must also have had the root's params.yaml and code.
    """
    entries = _entries(root)
    written = _written(entries)
    if not entries:
        return None
    wanted = [path.as_posix() for path in paths]
    for path in wanted:
        if path not in written:
            return Stale("", f"{PIPELINE_LOCK} does not say which stage wrote {path}")
    for stage in _lineage([written[path][0] for path in wanted], entries, written):
        reason = _older_input(stage, entries, written) or (
            _other_settings(stage, entries, written, root) if as_configured else ""
        )
        if reason:
            return Stale(stage, reason)
    for path in wanted:
        stage, recorded = written[path]
        if Path(path).parts[0] != DATA and _md5(root / path) != recorded:
            return Stale(stage, f"{path} is not what the stage {stage} wrote")
    return None


def _entries(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(root / PIPELINE_LOCK).get("stages", {})
    return found


def _written(entries: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return {path: (the stage that wrote it, its md5 as DVC writes it)}."""
    return {
        out["path"]: (stage, out.get("md5", "")) for stage, entry in entries.items() for out in entry.get("outs", ())
    }


def _inputs(stage: str, entries: Mapping[str, Any]) -> dict[str, str]:
    """Return {path: md5} of what a stage read; the record of the packages has a check of its own."""
    read = {dep["path"]: dep.get("md5", "") for dep in entries[stage].get("deps", ())}
    return {path: md5 for path, md5 in read.items() if path != PACKAGES_RECORD.as_posix()}


def _lineage(stages: Sequence[str], entries: Mapping[str, Any], written: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return these stages and all before them, each after those that it reads from."""
    found: dict[str, None] = {}
    for stage in stages:
        before = [written[path][0] for path in _inputs(stage, entries) if path in written]
        found |= dict.fromkeys([*_lineage(before, entries, written), stage])
    return list(found)


def _older_input(stage: str, entries: Mapping[str, Any], written: Mapping[str, tuple[str, str]]) -> str:
    """Say which input of a stage was written anew after it ran; empty if none was."""
    for path, md5 in _inputs(stage, entries).items():
        writer, latest = written.get(path, ("", md5))
        if md5 != latest:
            return f"the stage {stage} has not run since {writer} wrote {path}"
    return ""


def _other_settings(stage: str, entries: Mapping[str, Any], written: Mapping[str, tuple[str, str]], root: Path) -> str:
    """Say which parameter or source differs from those that a stage ran with; sources that the root lacks don't."""
    now = read_yaml(root / PARAMS_FILE)
    for name, before in entries[stage].get("params", {}).get(PARAMS_FILE.name, {}).items():
        value: Any = now
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value != before:
            return f"the stage {stage} ran with other parameters ({name}) than {PARAMS_FILE} has"
    for path, md5 in _inputs(stage, entries).items():
        if path not in written and (root / path).exists() and _md5(root / path) != md5:
            return f"{path} changed after the stage {stage} ran"
    return ""


def _md5(path: Path) -> str:
    """Return the md5 of a file, or of a folder as DVC writes it: over the JSON list of its files' paths and md5."""
    if not path.is_dir():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else ""
    files = sorted((file.relative_to(path).parts, file) for file in path.rglob("*") if file.is_file())
    kept = [(parts, file) for parts, file in files if "__pycache__" not in parts]  # as .dvcignore has it
    listed = [{"md5": _md5(file), "relpath": "/".join(parts)} for parts, file in kept]
    text = json.dumps(listed, sort_keys=True)
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"
