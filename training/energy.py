"""Joules that a run took, where the machine tells them: recorded beside its seconds.

Processors are counted by the kernel (powercap, "RAPL"; most systems let root alone read it), GPUs by their driver
(NVML). A counter is the whole device's: what else ran on it meanwhile is in it.
"""

from pathlib import Path

import pynvml
import torch

POWERCAP = Path("/sys/class/powercap")
KINDS = ("processors", "gpus")
Joules = dict[str, float | None]  # by KINDS; None where nobody tells

NOTHING: Joules = dict.fromkeys(KINDS, 0.0)
UNKNOWN: Joules = dict.fromkeys(KINDS)


class EnergyMeter:
    """Counts from its making on. Ask once in some minutes at least: a processor's counter is full after 262 kJ."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._processors = _Processors(powercap)
        self._gpus = _Gpus()

    def joules(self) -> Joules:
        """Return what was taken so far."""
        return {"processors": self._processors.joules(), "gpus": self._gpus.joules()}


def add(earlier: Joules, later: Joules) -> Joules:
    """Add two sittings of one run; what is unknown of one is unknown of both."""
    pairs = {kind: (earlier[kind], later[kind]) for kind in KINDS}
    return {kind: None if a is None or b is None else a + b for kind, (a, b) in pairs.items()}


class _Processors:
    """Source: Documentation/power/powercap/powercap.rst of the Linux kernel. AMD's zones have Intel's name, too."""

    def __init__(self, powercap: Path) -> None:
        # whole processors: the zones below them are parts, one named psys would count them a second time
        zones = [path.parent for path in powercap.glob("intel-rapl:*/name") if path.read_text().startswith("package")]
        self._taken = 0
        try:
            self._last = {zone: _microjoules(zone) for zone in zones}
        except OSError:
            self._last = {}

    def joules(self) -> float | None:
        if not self._last:
            return None
        for zone, last in self._last.items():
            now = _microjoules(zone)
            full = int((zone / "max_energy_range_uj").read_text())
            self._taken += now - last if now >= last else now + full - last  # it began again at 0
            self._last[zone] = now
        return self._taken / 1e6


def _microjoules(zone: Path) -> int:
    return int((zone / "energy_uj").read_text())


class _Gpus:
    """Source: nvmlDeviceGetTotalEnergyConsumption of NVML, Volta and newer: millijoules since the driver was loaded."""

    def __init__(self) -> None:
        self._start: dict[str, int] = {}
        try:
            uuids = [str(torch.cuda.get_device_properties(gpu).uuid) for gpu in range(torch.cuda.device_count())]
            if uuids:
                pynvml.nvmlInit()
            self._start = {uuid: _millijoules(uuid) for uuid in uuids}
        except pynvml.NVMLError:
            pass  # an older GPU, or no NVIDIA driver

    def joules(self) -> float | None:
        if not self._start:
            return None
        return sum(_millijoules(uuid) - start for uuid, start in self._start.items()) / 1000


def _millijoules(uuid: str) -> int:
    handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
