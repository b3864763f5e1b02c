"""Where a result comes from: commit, lock, data, machine."""

import hashlib
import json
import platform
import subprocess
from pathlib import Path

import torch
from ruamel.yaml import YAML

LOCK_FILE = Path("dvc.lock")
SOURCES = ("training", "tiles", "requirements", "params.yaml", "dvc.yaml")  # what a result is made of


def git_commit() -> dict[str, str | bool]:
    """Return HEAD and whether the sources differ from it (DVC's own outputs always do while it runs)."""
    head = _git("rev-parse", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--", *SOURCES, ":!requirements/training.json")
    return {"commit": head, "dirty": bool(changed) or head == "unknown"}


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def stage_digest(stage: str, lock: Path = LOCK_FILE) -> str:
    """Return the sha256 of a stage's entry in dvc.lock: command, dependencies, parameters and outputs.

    Empty when the stage was not run by DVC.
    """
    entry = YAML(typ="safe").load(lock).get("stages", {}).get(stage) if lock.is_file() else None
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest() if entry else ""


def machine() -> dict[str, str | int]:
    """Return what the run had: device, threads, processor and interpreter."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
