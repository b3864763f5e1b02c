"""Where a result comes from: commit, lock, data, machine."""

import hashlib
import json
import os
import platform
import subprocess
from pathlib import Path

import torch
from ruamel.yaml import YAML

from training.check_packages import LOCK_FILE as PACKAGES_FILE

LOCK_FILE = Path("dvc.lock")
SOURCES = ("training", "tiles", "requirements", "params.yaml", "dvc.yaml")  # what a result is made of


def git_commit() -> dict[str, str | bool]:
    """Return HEAD and whether the sources differ from it (DVC's own outputs always do while it runs)."""
    head = git("rev-parse", "HEAD") or "unknown"
    changed = git("status", "--porcelain", "--", *SOURCES, ":!requirements/training.json")
    return {"commit": head, "dirty": bool(changed) or head == "unknown"}


def git(*arguments: str) -> str:
    """Return what git answers; empty where it fails or is not there."""
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


def lock_digest(lock: Path = PACKAGES_FILE) -> str:
    """Return the sha256 of the packages' lock, empty where there is none."""
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else ""


def machine() -> dict[str, str | int]:
    """Return what the run had: device, threads, processor, memory and interpreter."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "devices": max(1, torch.cuda.device_count()),
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
