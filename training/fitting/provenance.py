"""A run's sources, machine and time: a part of its saved state, written beside its weights."""

import datetime as dt
import hashlib
import os
import platform
import time
from collections.abc import Mapping
from typing import Any

import torch

from host.commit import describe_commit
from host.machine import describe_machine
from training.files import PACKAGES_LOCK
from training.network.mixed_precision import has_bfloat16

# The files that determine a result. DVC rewrites requirements/training.json while it runs.
SOURCES = ("training", "tiles", "host", "requirements", "params.yaml", "dvc.yaml", ":!requirements/training.json")


class RunRecord:
    """Commit, machine, start and seconds of one run, over all sessions in which it was continued."""

    def __init__(self, saved: Mapping[str, Any] | None, device: torch.device) -> None:
        """saved: the run's state, None if it begins now. device: that trains."""
        self._start = time.monotonic()
        self._before = dict(saved or _beginning(device))

    def so_far(self) -> dict[str, Any]:
        """Return what the first session began with, and the seconds of all sessions; JSON can represent them."""
        return {
            "sources": self._before["sources"],
            "machine": self._before["machine"],
            "begun": self._before["begun"],
            "seconds": self._before["seconds"] + time.monotonic() - self._start,
        }


def _beginning(device: torch.device) -> dict[str, Any]:
    return {
        "sources": describe_commit(*SOURCES),
        "machine": machine(device),
        "begun": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
    }


def circumstances(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written beside the weights of every run: commit, lock, hardware, time.

    meta: what `RunRecord.so_far` returned.
    """
    return {
        **meta["sources"],
        "lock_digest": hashlib.sha256(PACKAGES_LOCK.read_bytes()).hexdigest() if PACKAGES_LOCK.is_file() else "",
        "machine": meta["machine"],
        "begun": meta["begun"],
        "seconds": round(meta["seconds"]),
    }


def machine(device: torch.device) -> dict[str, str | int]:
    """Return what the run uses: the machine, its devices, their precision, threads and torch."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": "bfloat16" if has_bfloat16(device) else "float32",
        "devices": torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1,
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        **describe_machine(),
        "cores": os.cpu_count() or 1,
        "torch": torch.__version__,
    }
