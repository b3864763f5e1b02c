"""How many cores this process may really use, by the cores that it is pinned to and by its control group's quota.

Source: Linux `sched_setaffinity(2)`, `cgroups(7)`; `cpu.max` of cgroup v2, `cpu.cfs_quota_us` of cgroup v1.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from host.control_groups import MOUNT, OF_THIS_PROCESS, control_groups


def usable_cores() -> int:
    """Return how many cores can be kept busy without being throttled, at least 1.

    A quota of 1.5 cores counts as 1: a second instance would mostly wait.
    """
    quota = cpu_quota()
    return max(1, int(min(_pinned_cores(), quota)))


def _pinned_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # not Linux: the launcher refuses to start there anyway


def cpu_quota(of_process: Path = OF_THIS_PROCESS, mount: Path = MOUNT) -> float:
    """Return the smallest CPU quota, in cores, on the way from this process's control group to the root.

    It is infinite where nothing limits it.
    """
    groups = control_groups("cpu", of_process, mount)
    return min((quota for group in groups for quota in _quotas(group)), default=float("inf"))


def _quotas(group: Path) -> Iterator[float]:
    if (group / "cpu.max").exists():
        quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        if quota != "max":
            yield int(quota) / int(period)
    if (group / "cpu.cfs_quota_us").exists():
        quota_us = int((group / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
        if quota_us > 0:  # -1 is no limit
            yield quota_us / int((group / "cpu.cfs_period_us").read_text(encoding="utf-8"))
