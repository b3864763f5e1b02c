"""Memory and processor time of a process and all processes below it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

MIB = 2**20


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process and all below it have used so far, user and system."""
    times = [process.cpu_times() for process in _tree(pid)]
    return float(sum(each.user + each.system for each in times))


def memory_mib(pid: int) -> dict[str, float]:
    """Return the memory of a process and all below it, in MiB.

    `resident` counts shared pages once for each process, as `ps` does; `proportional` counts them only once; `peak`
    is the sum of each process's largest resident memory so far.
    """
    return _added(_tree(pid))


def memory_mib_by_role(pid: int, roles: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return `memory_mib` of the processes whose command line contains a role's words; `rest` is the others."""
    members: dict[str, list[psutil.Process]] = {name: [] for name in (*roles, "rest")}
    for process in _tree(pid):
        line = " ".join(process.cmdline())
        members[next((name for name, words in roles.items() if words in line), "rest")].append(process)
    return {name: {"processes": len(found), **_added(found)} for name, found in members.items()}


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _added(processes: Iterable[psutil.Process]) -> dict[str, float]:
    totals = dict.fromkeys(("resident", "proportional", "peak"), 0)
    for process in processes:
        memory = process.memory_full_info()
        totals["resident"] += memory.rss
        totals["proportional"] += memory.pss
        totals["peak"] += _peak_kib(process.pid) * 1024
    return {name: round(total / MIB, 1) for name, total in totals.items()}


def _peak_kib(pid: int) -> int:
    """Read VmHWM, which psutil leaves out. Source: Linux proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
