"""How much memory this process may use, and how many processes the kernel has killed to free memory.

Source: Linux `cgroups(7)`; `memory.max` and `memory.events` of cgroup v2, `memory.limit_in_bytes` and
`memory.oom_control` of cgroup v1.
"""

import os
import re
from pathlib import Path

from host.control_groups import MOUNT, OF_THIS_PROCESS, control_groups

MIB = 2**20
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where Linux has it


def memory_limit_bytes(of_process: Path = OF_THIS_PROCESS, mount: Path = MOUNT) -> int:
    """Return the least of the machine's memory and of the limits of this process's control groups."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for group in control_groups("memory", of_process, mount):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = (group / name).read_text(encoding="utf-8").strip() if (group / name).exists() else "max"
            if text != "max":
                limits.append(int(text))
    return min(limits)


def shared_memory_bytes(folder: Path = SHARED_MEMORY) -> int:
    """Return how much shared memory is free; a container has 64 MiB of it unless it is told otherwise."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def memory_kills(of_process: Path = OF_THIS_PROCESS, mount: Path = MOUNT) -> int:
    """Return how many processes of this process's own control group the kernel has killed to free memory."""
    for group in control_groups("memory", of_process, mount):
        for name in ("memory.events", "memory.oom_control"):
            if (group / name).exists():
                found = re.search(r"^oom_kill (\d+)$", (group / name).read_text(encoding="utf-8"), re.MULTILINE)
                return int(found[1]) if found else 0
    return 0
