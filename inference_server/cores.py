"""How many cores this process may really use: what it is pinned to, and what its control group is given.

Source: Linux `sched_setaffinity(2)`, `cgroups(7)`; `cpu.max` of cgroup v2, `cpu.cfs_quota_us` of cgroup v1.
"""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS_OF_THIS_PROCESS = Path("/proc/self/cgroup")
CGROUP_MOUNT = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return how many cores can be kept busy without being throttled, at least 1.

    A quota of 1.5 cores counts as 1: a second instance would mostly wait for its share.
    """
    quota = cpu_quota(CGROUPS_OF_THIS_PROCESS, CGROUP_MOUNT)
    return max(1, int(min(_pinned_cores(), quota)))


def _pinned_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # not Linux: there the launcher will refuse anyway


def cpu_quota(cgroups: Path, mount: Path) -> float:
    """Return the smallest CPU quota, in cores, on the way from this process's control group to the root.

    It is infinite where nothing limits it. `cgroups` has the format of /proc/self/cgroup.
    """
    folders = _control_groups(cgroups, mount)
    return min((quota for folder in folders for quota in _quotas(folder)), default=float("inf"))


def _control_groups(cgroups: Path, mount: Path) -> Iterator[Path]:
    """Yield the folders that may limit this process, its own first.

    In a container the listed path may be the host's and not exist: the mounted root is then the container's own.
    """
    if not cgroups.exists():
        return
    for line in cgroups.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / controllers  # version 2 has no controllers in this file and one tree at the mount itself
        group = root / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _quotas(group: Path) -> Iterator[float]:
    if (group / "cpu.max").exists():
        quota, period = (group / "cpu.max").read_text().split()
        if quota != "max":
            yield int(quota) / int(period)
    if (group / "cpu.cfs_quota_us").exists():
        quota_us = int((group / "cpu.cfs_quota_us").read_text())
        if quota_us > 0:  # -1 is no limit
            yield quota_us / int((group / "cpu.cfs_period_us").read_text())
