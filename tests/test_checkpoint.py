"""Weights and run states on disk: restored to the byte, and refused with the mend where they do not fit."""

import contextlib
import json
import os
import resource

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from training_data import params_with

from training.errors import TrainingError
from training.files import CONFIGURATION_FILE, WEIGHTS_FILE
from training.fitting.checkpoint import RunState
from training.network.segmenter import build_network
from training.network.weights import load_model, save_model, save_tensors
from training.params import NetworkParams

TRAIN = params_with(train__encoder_weights=None).train


def small_network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(1))


class Run:
    """A network, another module and AdamW, as a training has them."""

    def __init__(self, seed):
        self.network, self.average = small_network(seed), small_network(seed + 1)
        self.network(torch.zeros(2, 1, 8, 8))  # the lazy layer now knows its size
        self.average(torch.zeros(2, 1, 8, 8))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.01)

    @property
    def modules(self):
        return {"network": self.network, "average": self.average}

    def step(self, seed):
        batch = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        self.optimizer.zero_grad()
        self.network(batch).square().mean().backward()
        self.optimizer.step()

    def tensors(self):
        modules = {f"{m}.{k}": v for m, module in self.modules.items() for k, v in module.state_dict().items()}
        slots = self.optimizer.state_dict()["state"]
        return modules | {f"{i}.{slot}": value for i, values in slots.items() for slot, value in values.items()}


def assert_equal(expected, actual):
    assert expected.keys() == actual.keys()
    for name, tensor in expected.items():
        assert tensor.dtype == actual[name].dtype, name
        assert torch.equal(tensor, actual[name]), name


@pytest.fixture
def trained():
    run = Run(seed=1)
    for seed in range(3):
        run.step(seed)
    return run


def test_a_restored_run_is_equal_and_stays_equal_in_the_steps_that_follow(tmp_path, trained):
    RunState(tmp_path / "run").save(trained.modules, trained.optimizer, {})
    restored = Run(seed=7)
    RunState(tmp_path / "run").load(restored.modules, restored.optimizer)
    assert_equal(trained.tensors(), restored.tensors())
    for run in (trained, restored):
        run.step(seed=3)
    assert_equal(trained.tensors(), restored.tensors())


def test_the_meta_comes_back_as_it_was_given(tmp_path, trained):
    meta = {"history": [{"train/loss": 0.1 + 0.2}, {"validation/threshold": 128}]}
    state = RunState(tmp_path)
    state.save(trained.modules, trained.optimizer, meta)
    assert meta == state.load(trained.modules, trained.optimizer)


def test_a_run_that_was_never_saved_changes_nothing(tmp_path, trained):
    before = {name: tensor.clone() for name, tensor in trained.tensors().items()}
    assert RunState(tmp_path / "nowhere").load(trained.modules, trained.optimizer) is None
    assert_equal(before, trained.tensors())


def test_a_later_state_replaces_the_earlier_one_and_leaves_nothing_beside_it(tmp_path, trained):
    state = RunState(tmp_path)
    for number in range(2):
        state.save(trained.modules, trained.optimizer, {"number": number})
    assert {"number": 1} == state.load(trained.modules, trained.optimizer)
    assert ["state.safetensors"] == [path.name for path in tmp_path.iterdir()]


def cut_in_the_middle(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_in_the_header(path):
    path.write_bytes(path.read_bytes()[:20])


def emptied(path):
    path.write_bytes(b"")


def overwritten(path):
    path.write_bytes(b"not a state" * 100)


def of_another_program(path):
    save_file({"x": torch.zeros(1)}, path, metadata={"format": "pt"})


def of_another_program_without_metadata(path):
    save_file({"x": torch.zeros(1)}, path)


def of_other_modules(path):
    run = Run(seed=1)
    RunState(path.parent).save({"network": run.network}, run.optimizer, {})


def with_a_flipped_bit(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1  # of a tensor's value
    path.write_bytes(content)


def with_another_history(path):
    path.write_bytes(path.read_bytes().replace(b"{}", b"[]"))  # the meta, at equal length


def without_a_digest(path):
    save_file({"x": torch.zeros(1)}, path, {"state": "{}"})


@pytest.mark.parametrize(
    "damage",
    [
        cut_in_the_middle,
        cut_in_the_header,
        emptied,
        overwritten,
        with_a_flipped_bit,
        with_another_history,
        without_a_digest,
        of_another_program,
        of_another_program_without_metadata,
        of_other_modules,
    ],
)
def test_a_damaged_state_says_to_delete_it(tmp_path, trained, damage):
    RunState(tmp_path).save(trained.modules, trained.optimizer, {})
    damage(tmp_path / "state.safetensors")
    with pytest.raises(TrainingError, match=rf"{tmp_path}/state\.safetensors cannot be read .*delete it to start over"):
        RunState(tmp_path).load(trained.modules, trained.optimizer)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return build_network(TRAIN)


@pytest.fixture
def saved(network, tmp_path, monkeypatch):
    """A folder with a saved model, to work in."""
    monkeypatch.chdir(tmp_path)
    save_model(network, {"train": TRAIN.model_dump(), "seed": 20})
    return tmp_path


def test_a_saved_model_comes_back_with_its_configuration_ready_to_evaluate(saved, network):
    loaded, configuration = load_model()
    assert {"train": TRAIN.model_dump(), "seed": 20} == configuration
    assert not loaded.training
    assert_equal(network.state_dict(), loaded.state_dict())
    assert {"segmenter.safetensors", "segmenter.json"} == {path.name for path in (saved / "models").iterdir()}


def test_the_same_weights_are_the_same_bytes(saved, network):
    first = (saved / WEIGHTS_FILE).read_bytes()
    save_model(network, {"train": TRAIN.model_dump()})
    assert first == (saved / WEIGHTS_FILE).read_bytes()


@pytest.mark.usefixtures("saved")
def test_weights_of_another_configuration_are_refused_with_the_mend():
    other = TRAIN.model_dump() | {"decoder_channels": [64, 64, 32, 24, 16]}
    CONFIGURATION_FILE.write_text(json.dumps({"train": other}))
    with pytest.raises(
        TrainingError, match=r"(?s)segmenter\.safetensors does not fit .*json .*: run `dvc repro train`"
    ):
        load_model()


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("text", ["{", "{}", '{"train": {"epochs": 3}}'])
def test_a_configuration_that_is_none_is_refused_with_the_mend(text):
    CONFIGURATION_FILE.write_text(text)
    with pytest.raises(TrainingError, match=r"(?s)does not fit .*run `dvc repro train`"):
        load_model()


@pytest.mark.usefixtures("saved")
def test_a_model_loads_although_training_parameters_were_added_and_removed_since(network):
    stored = TRAIN.model_dump() | {"a_parameter_of_another_version": 3}
    del stored["rotation"]
    CONFIGURATION_FILE.write_text(json.dumps({"train": stored}))
    loaded, configuration = load_model()
    assert {"train": stored} == configuration
    assert_equal(network.state_dict(), loaded.state_dict())


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("missing", [name for name, field in NetworkParams.model_fields.items() if field.is_required()])
def test_a_configuration_without_a_parameter_of_the_network_is_refused_with_the_mend(missing):
    stored = TRAIN.model_dump()
    del stored[missing]
    CONFIGURATION_FILE.write_text(json.dumps({"train": stored}))
    with pytest.raises(
        TrainingError, match=rf"(?s)does not fit .*{missing}.*: run `dvc repro train`, or `git checkout` both"
    ):
        load_model()


@pytest.mark.usefixtures("saved")
def test_a_model_whose_configuration_has_the_removed_options_off_loads(network):
    off = {"context": False, "image_head": False, "synthetic_share": 0.0, "consensus": False, "mirror_weight": 0.0}
    CONFIGURATION_FILE.write_text(json.dumps({"train": TRAIN.model_dump() | off | {"consistency_weight": 0.0}}))
    assert_equal(network.state_dict(), load_model()[0].state_dict())


@pytest.mark.usefixtures("saved")
def test_damaged_weights_are_refused_with_the_mend():
    cut_in_the_middle(WEIGHTS_FILE)
    with pytest.raises(TrainingError, match=r"(?s)segmenter\.safetensors does not fit .*run `dvc repro train`"):
        load_model()


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("path", [CONFIGURATION_FILE, WEIGHTS_FILE], ids=str)
def test_a_missing_file_is_named_with_the_mend(path):
    path.unlink()
    with pytest.raises(TrainingError, match=rf"^{path} is missing: run `dvc repro train`, or `git checkout` it"):
        load_model()


@contextlib.contextmanager
def full_disk():
    """As on a full disk, no file can grow beyond 4096 bytes; not even the one that this test's output may go to."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_keeps_the_earlier_state_and_says_to_make_room(tmp_path):
    before, after = Run(seed=1), Run(seed=2)
    after.network = nn.Linear(100, 100)
    state = RunState(tmp_path)
    state.save(before.modules, before.optimizer, {"epoch": 1})
    with (
        pytest.raises(TrainingError, match=r"state\.safetensors cannot be written .* make room on its disk"),
        full_disk(),
    ):
        state.save(after.modules, after.optimizer, {"epoch": 2})
    assert ["state.safetensors"] == [path.name for path in tmp_path.iterdir()]
    assert {"epoch": 1} == state.load(before.modules, before.optimizer)


def test_who_may_read_the_weights_is_up_to_the_umask(tmp_path):
    """safetensors' own `save_file` gives them to their owner alone."""
    path = tmp_path / "weights.safetensors"
    before = os.umask(0o027)
    try:
        save_tensors({"x": torch.zeros(1)}, path, {})
    finally:
        os.umask(before)
    assert 0o640 == path.stat().st_mode & 0o777
