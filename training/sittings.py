"""What a run took and came from, over all its sittings: a part of its saved state, written beside its weights."""

import datetime as dt
import time
from collections.abc import Mapping
from typing import Any

from training.energy import NOTHING, UNKNOWN, EnergyMeter, add
from training.provenance import git_commit, lock_digest, machine


class Sittings:
    """Counts from its making on, on top of what earlier sittings took. saved: the run's state, if there is one."""

    def __init__(self, saved: Mapping[str, Any] | None) -> None:
        self._start, self._meter = time.monotonic(), EnergyMeter()
        begun = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        first = {"sources": git_commit(), "begun": begun, "seconds": 0.0, "joules": NOTHING}
        self._before = dict(saved or first)

    def so_far(self) -> dict[str, Any]:
        """Return commit and time of the first sitting, seconds and joules of all; anything JSON holds."""
        return {
            "sources": self._before["sources"],
            "begun": self._before.get("begun"),  # a state of an older version tells neither this nor joules
            "seconds": self._before["seconds"] + time.monotonic() - self._start,
            "joules": add(self._before.get("joules", UNKNOWN), self._meter.joules()),
        }


def circumstances(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands beside the weights of every run: commit, lock, hardware, time, energy. meta: see `so_far`."""
    return {
        **meta["sources"],
        "lock_digest": lock_digest(),
        "machine": machine(),
        "begun": meta.get("begun"),
        "seconds": round(meta["seconds"]),
        "joules": meta.get("joules", UNKNOWN),
    }
