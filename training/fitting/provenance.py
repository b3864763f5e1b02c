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

# The files that determine a result. DVC rewrites requirements/training.json while it runs.
SOURCES = ("training", "tiles", "host", "requirements", "params.yaml", "dvc.yaml", ":!requirements/training.json")


class RunRecord:
    """Commit, start and seconds of one run, over all sessions in which it was continued."""

    def __init__(self, saved: Mapping[str, Any] | None) -> None:
        """saved: the run's state, None if it begins now."""
        self._start = time.monotonic()
        begun = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self._before = dict(saved or {"sources": describe_commit(*SOURCES), "begun": begun, "seconds": 0.0})

    def so_far(self) -> dict[str, Any]:
        """Return commit and start of the first session, and the seconds of all sessions; JSON can represent them."""
        return {
            "sources": self._before["sources"],
            "begun": self._before["begun"],
            "seconds": self._before["seconds"] + time.monotonic() - self._start,
        }


def circumstances(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written beside the weights of every run: commit, lock, hardware, time.

    meta: what `RunRecord.so_far` returned.
    """
    return {
        **meta["sources"],
        "lock_digest": hashlib.sha256(PACKAGES_LOCK.read_bytes()).hexdigest() if PACKAGES_LOCK.is_file() else "",
        "machine": machine(),
        "begun": meta["begun"],
        "seconds": round(meta["seconds"]),
    }


def machine() -> dict[str, str | int]:
    """Return what the run uses: the machine, its devices, threads and torch."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "devices": torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1,
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        **describe_machine(),
        "cores": os.cpu_count() or 1,
        "torch": torch.__version__,
    }
