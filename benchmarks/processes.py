"""What a process and all below it use: memory and processor time. Source: Linux proc(5)."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

GONE = (FileNotFoundError, ProcessLookupError)  # it ended while it was looked at
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
KINDS = {"resident": "Rss", "proportional": "Pss", "peak": "VmHWM"}  # keys of smaps_rollup and status


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    with contextlib.suppress(*GONE):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for below in (task / "children").read_text().split():
                yield from tree(int(below))


def memory_mib(pid: int) -> dict[str, float]:
    """Return the memory of a process and all below it, in MiB.

    `resident` counts what several of them share once for each, as `ps` does; `proportional` counts it once in all;
    `peak` adds up the most that each has ever had resident.
    """
    return _added(tree(pid))


def memory_mib_by_role(pid: int, roles: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return `memory_mib` of the processes whose command line holds a role's words; the others' is the role `rest`."""
    members: dict[str, list[int]] = {name: [] for name in (*roles, "rest")}
    for each in tree(pid):
        line = _read(each, "cmdline").replace("\0", " ")
        members[next((name for name, words in roles.items() if words in line), "rest")].append(each)
    return {name: {"processes": len(pids), **_added(pids)} for name, pids in members.items()}


def _added(pids: Iterable[int]) -> dict[str, float]:
    totals_kib = dict.fromkeys(KINDS, 0)
    for pid in pids:
        for line in (_read(pid, "smaps_rollup") + _read(pid, "status")).splitlines():
            key, _, value = line.partition(":")
            for kind, wanted in KINDS.items():
                if key == wanted:
                    totals_kib[kind] += int(value.split()[0])
    return {kind: round(total / 1024, 1) for kind, total in totals_kib.items()}


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except GONE:
        return ""


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process and all below it have used so far."""
    ticks = 0
    for each in tree(pid):
        fields = _read(each, "stat").rpartition(")")[2].split()
        if fields:
            ticks += int(fields[11]) + int(fields[12])  # user and system; the line's first three are cut off
    return ticks / TICKS_A_SECOND
