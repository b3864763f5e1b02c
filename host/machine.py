"""A description of the machine, to stand beside a measured figure."""

import os
import platform
from pathlib import Path

from host.cores import usable_cores


def describe_machine() -> dict[str, str | int]:
    """Return processor, usable cores, memory in MiB, kernel and interpreter."""
    return {
        "cpu": _cpu_name() or platform.machine(),
        "usable_cores": usable_cores(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
