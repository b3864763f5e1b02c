"""A run's energy: the kernel's counters as files, NVML's by a stand-in, and nothing where nobody tells."""

from types import SimpleNamespace

import pytest

from training import energy
from training.energy import NOTHING, UNKNOWN, EnergyMeter, add

FULL = 1_000_000_000  # microjoules


def zone(powercap, name, kind, microjoules):
    """A counter as the kernel shows it; returns the file to change."""
    folder = powercap / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "max_energy_range_uj").write_text(f"{FULL}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def test_whole_processors_are_added_and_their_parts_are_not(tmp_path):
    first, second = (zone(tmp_path, f"intel-rapl:{n}", f"package-{n}", 5_000_000) for n in (0, 1))
    part = zone(tmp_path, "intel-rapl:0:0", "core", 5_000_000)
    everything = zone(tmp_path, "intel-rapl:2", "psys", 5_000_000)
    meter = EnergyMeter(tmp_path)
    for file, microjoules in {first: 7_000_000, second: 5_500_000, part: 6_500_000, everything: 9_000_000}.items():
        file.write_text(f"{microjoules}\n")
    assert 2.5 == meter.joules()["processors"]


def test_a_counter_that_began_again_goes_on(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", FULL - 2_000_000)
    meter = EnergyMeter(tmp_path)
    counter.write_text("1_000_000")
    assert 3.0 == meter.joules()["processors"]
    counter.write_text("1_500_000")
    assert 3.5 == meter.joules()["processors"]


def test_a_machine_that_tells_nothing_has_no_energy_instead_of_none_taken(tmp_path):
    assert UNKNOWN["processors"] is EnergyMeter(tmp_path / "missing").joules()["processors"] is None


def test_a_counter_that_may_not_be_read_is_none(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 1).unlink()
    assert EnergyMeter(tmp_path).joules()["processors"] is None


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs, whose millijoules can be set; torch may use one of them."""
    counters = {"GPU-a": 1000, "GPU-b": 1000}
    cuda = SimpleNamespace(device_count=lambda: 1, get_device_properties=lambda _: SimpleNamespace(uuid="b"))
    monkeypatch.setattr(energy.torch, "cuda", cuda)
    monkeypatch.setattr(energy.pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(energy.pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: uuid)
    monkeypatch.setattr(energy.pynvml, "nvmlDeviceGetTotalEnergyConsumption", counters.__getitem__)
    return counters


def test_the_gpus_that_torch_may_use_are_counted(gpus, tmp_path):
    meter = EnergyMeter(tmp_path)
    gpus.update({"GPU-a": 9000, "GPU-b": 3500})
    assert {"processors": None, "gpus": 2.5} == meter.joules()


@pytest.mark.usefixtures("gpus")
def test_a_gpu_without_a_counter_is_none(tmp_path, monkeypatch):
    def refuse(_):
        raise energy.pynvml.NVMLError(energy.pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(energy.pynvml, "nvmlDeviceGetTotalEnergyConsumption", refuse)
    assert EnergyMeter(tmp_path).joules()["gpus"] is None


def test_two_sittings_are_added_and_an_unknown_one_makes_their_sum_unknown():
    assert {"processors": 3.5, "gpus": None} == add({"processors": 1.0, "gpus": 2.0}, {"processors": 2.5, "gpus": None})
    assert UNKNOWN == add(NOTHING, UNKNOWN)
