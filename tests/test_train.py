"""The training: its schedule, that an interrupted run ends like any other, that a failed one loses nothing."""

import datetime as dt
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from dvclive.live import Live
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from test_checkpoint import assert_equal
from training_data import (
    CIRCUMSTANCES,
    ROOT,
    SMALL_NETWORK,
    params_with,
    shipped_knobs,
    unhurried,
    write_knobs,
    write_project,
)

from training.dataset.index import read_digest
from training.dataset.samples import load_part
from training.errors import TrainingError
from training.files import METRICS_FILE, PIPELINE_FILE
from training.fitting import provenance
from training.fitting import run as fitting_run
from training.fitting.checkpoint import RunState
from training.fitting.provenance import RunRecord, circumstances, machine
from training.fitting.run import run, run_key
from training.fitting.trainer import Trainer, learning_rate, moving_average
from training.network.losses import segmentation_loss_with_logits
from training.network.weights import load_model
from training.params import load_params
from training.stages import train

CPU = torch.device("cpu")
KNOBS = {
    **SMALL_NETWORK,
    "train__encoder_weights": None,
    "train__epochs": 3,
    "train__crops_per_epoch": 5,  # two batches; the fifth crop's would not be whole
    "train__batch_size": 2,
    "train__crop_size": 64,
}
PARTS = {
    "train": ["Blowhole/exp1_num_317483", "Break/exp1_num_271361", "Free/exp1_num_10903"],
    "validation": ["Blowhole/exp1_num_262480"],
}
PARAMS = params_with(**KNOBS)
PEAK = 0.002

steps_of_a_run = st.integers(20, 3000)


@unhurried
@given(steps=steps_of_a_run)
def test_the_learning_rate_rises_once_to_its_peak_and_then_falls(steps):
    rates = [learning_rate(step, steps, PEAK) for step in range(steps)]
    summit = rates.index(max(rates))
    assert PEAK == pytest.approx(max(rates))
    assert all(earlier < later for earlier, later in pairwise(rates[: summit + 1]))
    assert all(earlier > later for earlier, later in pairwise(rates[summit:]))
    assert 0.1 == pytest.approx(summit / steps, abs=0.05)


@unhurried
@given(steps=steps_of_a_run)
def test_the_learning_rate_starts_at_a_25th_and_ends_near_a_10_000th_of_its_peak(steps):
    assert PEAK / 25 == pytest.approx(learning_rate(0, steps, PEAK))
    last, before_it = (learning_rate(step, steps, PEAK) for step in (steps - 1, steps - 2))
    assert PEAK / 10_000 == pytest.approx(learning_rate(steps, steps, PEAK))
    assert PEAK / 10_000 < last < before_it < PEAK / 20


def test_the_shipped_schedules_last_step_is_within_2_percent_of_a_10_000th():
    shipped = params_with().train
    steps = shipped.epochs * (shipped.crops_per_epoch // shipped.batch_size)
    assert PEAK / 10_000 == pytest.approx(learning_rate(steps - 1, steps, PEAK), rel=0.02)


def test_a_run_of_one_step_has_a_learning_rate():
    assert PEAK / 25 == pytest.approx(learning_rate(0, 1, PEAK))


@pytest.mark.parametrize(("steps", "share"), [(0, 0.9), (8, 0.5), (1_000_000, 0.002)])
def test_the_moving_average_follows_the_weights_closely_at_first_and_as_stated_later(steps, share):
    average, weights = torch.zeros(1), torch.ones(1)
    moving_average(0.998)([average], [weights], torch.tensor(steps))
    assert share == pytest.approx(average.item(), rel=1e-3)


def test_the_pretrained_encoder_learns_at_its_own_rate_and_all_else_at_the_common_one():
    trainer = new_trainer()
    peaks = {id(p): group["peak"] for group in trainer.optimizer.param_groups for p in group["params"]}
    rate, slower = PARAMS.train.learning_rate, PARAMS.train.encoder_rate * PARAMS.train.learning_rate
    for name, parameter in trainer.network.named_parameters():
        assert (slower if name.startswith("encoder") else rate) == peaks.pop(id(parameter)), name
    assert {} == peaks


class Ledger:
    """A Live that keeps what it is given and, if asked, interrupts the run after some epochs."""

    def __init__(self, *, last_epoch=None):
        self.epochs, self.figures, self.last_epoch = [], {}, last_epoch

    def log_metric(self, name, value):
        self.figures[name] = value

    def next_step(self):
        self.epochs.append(self.figures)
        self.figures = {}
        if len(self.epochs) == self.last_epoch:
            raise KeyboardInterrupt


def new_trainer(params=PARAMS):
    return Trainer(params.train, params.base.seed)


def train_in(folder, live, params=PARAMS):
    """Run from the state in this folder, if any; return the weights that are kept."""
    trainer = new_trainer(params)
    samples = {part: load_part(part, params) for part in ("train", "validation")}
    run(trainer, params, samples, RunState(folder), live)
    return trainer.average.module.state_dict()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a small dataset, and the repository's dvc.yaml, whose folders of code are not there."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder, PARTS, **KNOBS)
    shutil.copyfile(ROOT / PIPELINE_FILE, folder / PIPELINE_FILE)
    return folder


@pytest.fixture(autouse=True)
def in_the_project(project, monkeypatch):
    monkeypatch.chdir(project)


@pytest.fixture(scope="module")
def uninterrupted(project, tmp_path_factory):
    """The folder, the ledger and the kept weights of a run that nothing disturbed."""
    folder, ledger = tmp_path_factory.mktemp("uninterrupted"), Ledger()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(project)
        return folder, ledger, train_in(folder, ledger)


def copy_of(project, folder, **knobs):
    """Copy what the stage reads, with other knobs."""
    for name in ("data", "requirements"):
        shutil.copytree((ROOT if name == "requirements" else project) / name, folder / name)
    shutil.copyfile(project / PIPELINE_FILE, folder / PIPELINE_FILE)
    write_knobs(folder / "params.yaml", **knobs)


@pytest.mark.slow
def test_two_runs_with_one_seed_give_equal_weights(uninterrupted, project, tmp_path):
    """The second in a process of its own, as a person starts it."""
    _, _, weights = uninterrupted
    copy_of(project, tmp_path, **KNOBS)
    run_module = [sys.executable, "-m", "training.stages.train"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(run_module, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-3000:]
    assert_equal(weights, load_file(tmp_path / "models/segmenter.safetensors"))


def without_speed(epochs):
    return [{name: value for name, value in figures.items() if "crops_per_s" not in name} for figures in epochs]


def test_an_interrupted_run_continues_to_the_very_weights_of_an_uninterrupted_one(uninterrupted, tmp_path):
    _, ledger, weights = uninterrupted
    with pytest.raises(KeyboardInterrupt):
        train_in(tmp_path, Ledger(last_epoch=1))
    resumed = Ledger()
    assert_equal(weights, train_in(tmp_path, resumed))
    assert without_speed(ledger.epochs) == without_speed(resumed.epochs)


def test_a_finished_run_is_not_trained_again(uninterrupted, monkeypatch):
    folder, ledger, weights = uninterrupted
    monkeypatch.setattr(Trainer, "train_epoch", None)  # to call it would fail
    again = Ledger()
    assert_equal(weights, train_in(folder, again))
    assert ledger.epochs == again.epochs


def test_the_kept_weights_are_the_moving_average(uninterrupted):
    folder, _, kept = uninterrupted
    state = load_file(folder / "state.safetensors")
    assert_equal(kept, {name: state[f"average/module.{name}"] for name in kept})
    moved = [n for n in kept if kept[n].is_floating_point() and not torch.equal(kept[n], state[f"network/{n}"])]
    assert moved


def test_training_changes_the_weights_and_every_epoch_has_its_figures(uninterrupted):
    _, ledger, weights = uninterrupted
    untrained = new_trainer().average.module.state_dict()
    assert any(not torch.equal(untrained[name], tensor) for name, tensor in weights.items() if name.endswith("weight"))
    assert 3 == len(ledger.epochs)
    for figures in ledger.epochs:
        assert math.isfinite(figures["train/loss"])
        assert figures["train/crops_per_s"] > 0


def test_the_last_epoch_is_validated_even_when_its_turn_has_not_come(uninterrupted):
    _, ledger, _ = uninterrupted
    validated = ["validation/dice_pooled" in figures for figures in ledger.epochs]
    assert [False, False, True] == validated
    assert 1 <= ledger.epochs[-1]["validation/threshold"] <= 255


def test_another_seed_trains_other_weights(uninterrupted, tmp_path):
    _, _, weights = uninterrupted
    other = train_in(tmp_path, Ledger(), params_with(**KNOBS, base__seed=21))
    assert any(not torch.equal(weights[name], other[name]) for name in weights)


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_epoch(uninterrupted, tmp_path, monkeypatch):
    _, ledger, weights = uninterrupted
    good_loss, calls = segmentation_loss_with_logits, []

    def loss_that_fails_once(*tensors, **options):
        calls.append(1)
        return good_loss(*tensors, **options) * (math.nan if len(calls) == 4 else 1)

    monkeypatch.setattr("training.fitting.trainer.segmentation_loss_with_logits", loss_that_fails_once)
    failed = Ledger()
    with pytest.raises(TrainingError, match=r"the loss is nan at epoch 2, batch 2: lower train\.learning_rate"):
        train_in(tmp_path, failed)
    assert 1 == len(failed.epochs)
    trainer = new_trainer()
    assert failed.epochs == RunState(tmp_path).load(trainer.modules, trainer.optimizer)["history"]

    resumed = Ledger()
    assert_equal(weights, train_in(tmp_path, resumed))
    assert without_speed(ledger.epochs) == without_speed(resumed.epochs)


def test_dvclive_shows_the_epochs_before_an_interruption_too(uninterrupted):
    folder, ledger, _ = uninterrupted
    with Live("dvclive", dvcyaml=None, save_dvc_exp=False) as live:
        train_in(folder, live)
    lines = Path("dvclive/plots/metrics/train/loss.tsv").read_text().splitlines()
    losses = [float(line.split("\t")[1]) for line in lines[1:]]
    assert [figures["train/loss"] for figures in ledger.epochs] == pytest.approx(losses)
    last = json.loads(Path("dvclive/metrics.json").read_text())
    assert ledger.epochs[-1]["validation/dice_pooled"] == pytest.approx(last["validation"]["dice_pooled"])


def test_the_stage_writes_weights_with_all_that_they_come_from(project, monkeypatch):
    monkeypatch.setattr(train, "check_packages", lambda: PACKAGES)  # tested by itself
    write_knobs(project / "params.yaml", **KNOBS | {"train__epochs": 1})
    METRICS_FILE.parent.mkdir(exist_ok=True)
    METRICS_FILE.write_text("{}")
    train.main()
    assert not METRICS_FILE.exists()  # they were of other weights
    METRICS_FILE.write_text("{}")
    train.main()
    assert METRICS_FILE.exists()
    params = load_params()
    network, configuration = load_model()
    expected = {
        "train": params.train.model_dump(),
        "seed": params.base.seed,
        "split": params.data_split.model_dump(),
        "data_digest": read_digest(),
        "run": run_key(params, PACKAGES, SPLIT),
    }
    assert expected == {name: configuration[name] for name in expected}
    assert CIRCUMSTANCES == configuration.keys() - expected.keys()
    state = load_file(project / ".run/train" / configuration["run"] / "state.safetensors")
    kept = network.state_dict()
    assert_equal(kept, {name: state[f"average/module.{name}"] for name in kept})


PACKAGES = {"torch": "2.0"}
SPLIT = {name.split("/")[1]: part for part, names in PARTS.items() for name in names}


def test_a_run_with_other_data_parameters_or_packages_never_finds_this_ones_state(monkeypatch):
    others = [
        run_key(params_with(**KNOBS | {"train__learning_rate": 0.001}), PACKAGES, SPLIT),
        run_key(params_with(**KNOBS, base__seed=21), PACKAGES, SPLIT),
        run_key(params_with(**KNOBS, data_load__mask_above=0), PACKAGES, SPLIT),
        run_key(PARAMS, {"torch": "2.1"}, SPLIT),
        run_key(PARAMS, PACKAGES, SPLIT | {"exp1_num_262480": "test"}),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(fitting_run, "read_digest", lambda: "of images of the same names and sizes")
        others.append(run_key(PARAMS, PACKAGES, SPLIT))
    assert run_key(PARAMS, PACKAGES, SPLIT) not in others
    assert 6 == len(set(others))


def test_what_does_not_change_the_weights_does_not_change_the_key():
    other = params_with(**KNOBS, evaluate__gallery_images=2, export__opset=19)
    assert run_key(PARAMS, PACKAGES, SPLIT) == run_key(other, PACKAGES, SPLIT)


@pytest.mark.parametrize(
    ("listed", "changes"),
    [("tiles/canvas.py", True), ("training/network/deeper/losses.py", True), ("training/evaluation/counts.py", False)],
)
def test_a_run_never_finds_the_state_of_other_code_that_its_weights_depend_on(
    project, tmp_path, monkeypatch, listed, changes
):
    copy_of(project, tmp_path, **KNOBS)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / listed
    path.parent.mkdir(parents=True)
    keys = []
    for line in ("a = 1\n", "a = 2\n"):
        path.write_text(line)
        keys.append(run_key(PARAMS, PACKAGES, SPLIT))
    assert changes == (keys[0] != keys[1])


def test_a_resumed_run_adds_its_seconds_and_keeps_its_first_sessions_commit_machine_and_time(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(provenance.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(provenance, "describe_commit", lambda *_: {"commit": "first", "dirty": False})
    monkeypatch.setattr(provenance, "describe_machine", lambda: {"cpu": "first"})
    with pytest.raises(KeyboardInterrupt):
        train_in(tmp_path, Ledger(last_epoch=1))
    first = state_of(tmp_path)
    monkeypatch.setattr(provenance, "describe_commit", lambda *_: {"commit": "second", "dirty": True})
    monkeypatch.setattr(provenance, "describe_machine", lambda: {"cpu": "second"})
    train_in(tmp_path, Ledger())
    last = state_of(tmp_path)
    assert {"commit": "first", "dirty": False} == first["sources"] == last["sources"]
    assert "first" == first["machine"]["cpu"] == circumstances(last)["machine"]["cpu"]
    assert 0 < first["seconds"] < last["seconds"]
    assert dt.datetime.fromisoformat(first["begun"]) == dt.datetime.fromisoformat(last["begun"])


def test_the_seconds_of_a_session_are_added_to_those_before(monkeypatch):
    clock = iter([100, 112.4, 130])
    monkeypatch.setattr(provenance.time, "monotonic", lambda: next(clock))
    begun = {"sources": {"commit": "first", "dirty": False}, "machine": {}, "begun": "2026-01-01T00:00:00+00:00"}
    before = begun | {"seconds": 5.0}
    record = RunRecord(before, CPU)
    assert before | {"seconds": pytest.approx(17.4)} == record.so_far()
    assert before | {"seconds": pytest.approx(35.0)} == record.so_far()


def test_what_stands_beside_the_weights_is_plain_json_with_the_locks_digest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = circumstances(RunRecord(None, CPU).so_far())
    assert CIRCUMSTANCES == written.keys()
    assert written == json.loads(json.dumps(written))
    assert "" == written["lock_digest"]
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    digest = hashlib.sha256((ROOT / "requirements/training.txt").read_bytes()).hexdigest()
    assert digest == circumstances(RunRecord(None, CPU).so_far())["lock_digest"]


@pytest.mark.parametrize(("device", "name"), [("cpu", "cpu"), ("cuda:1", "GPU 1")])
@pytest.mark.parametrize(("fast", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_the_record_has_the_device_and_the_precision_that_train_whatever_else_the_machine_has(
    device, name, fast, precision, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: f"GPU {getattr(device, 'index', 0)}")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: fast == (device != "cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": fast == (device == "cpu")})
    found = machine(torch.device(device))
    assert (name, precision) == (found["device"], found["precision"])


def test_without_cuda_the_cpu_trains_whatever_accelerate_would_choose(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("accelerate.state.is_mps_available", lambda *_: True)
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 - it keeps its first choice
    try:
        assert CPU == new_trainer().device
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001


def state_of(folder):
    trainer = new_trainer()
    return RunState(folder).load(trainer.modules, trainer.optimizer)


def test_a_batch_that_processes_cannot_share_is_refused(monkeypatch):
    monkeypatch.setattr("training.fitting.trainer.Accelerator.num_processes", 3)
    with pytest.raises(TrainingError, match=r"train\.batch_size is 2: 3 processes cannot share it equally"):
        new_trainer()


def test_processes_that_would_continue_from_different_epochs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting_run, "gather_object", lambda found: [*found, (found[0][0], 3)])  # of another process
    with pytest.raises(
        TrainingError, match=rf"found different saved epochs \(0, 3\), because {tmp_path} is only on one machine: share"
    ):
        train_in(tmp_path, Ledger())


def test_processes_of_different_runs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting_run, "gather_object", lambda found: [*found, ("another", 0)])
    with pytest.raises(
        TrainingError, match=rf"different runs \({tmp_path.name}, another\): give every machine the same"
    ):
        train_in(tmp_path, Ledger())


LARGER = {"train__batch_size": 16, "train__crop_size": 96, "train__epochs": 2, "train__crops_per_epoch": 32}
LARGER |= {f"train__{name}": shipped_knobs()["train"][name] for name in ("encoder", "decoder_channels")}


@pytest.mark.slow
def test_two_processes_train_as_one_does_within_a_tolerance(project, tmp_path):
    alone = Ledger()
    train_in(tmp_path / "one", alone, params_with(**KNOBS | LARGER))
    losses = [figures["train/loss"] for figures in alone.epochs]
    assert 2 == len(losses)
    assert losses == pytest.approx(losses_of_two(tmp_path / "two", project), rel=0.1)


@pytest.mark.slow
def test_an_encoder_with_layers_that_the_network_does_not_use_trains_among_several_processes(project, tmp_path):
    """A group of one process: DistributedDataParallel waits for all gradients there, too."""
    copy_of(project, tmp_path, **KNOBS | {"train__encoder": "efficientnet-b0", "train__drop_path": 0.0})
    group = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"} | group
    run_module = [sys.executable, "-m", "training.stages.train"]
    done = subprocess.run(run_module, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-3000:]


# Without shared gradients each process would end with weights of its own.
TRAIN_AND_COMPARE = """
import hashlib

import torch
from accelerate.utils import gather_object

from training.stages import train


def run_and_compare(trainer, *rest, run=train.run):
    meta = run(trainer, *rest)
    weights = torch.cat([parameter.detach().flatten() for parameter in trainer.network.parameters()])
    digests = gather_object([hashlib.sha256(weights.numpy().tobytes()).hexdigest()])
    assert 1 == len(set(digests)), digests
    if trainer.is_main:
        print(len(digests), "processes with equal weights")
    return meta


train.run = run_and_compare
train.main()
"""


def losses_of_two(folder, project):
    """Train in two processes by accelerate's launcher in a copy of the project; return the loss of each epoch.

    Both processes must end with the same weights.
    """
    copy_of(project, folder, **KNOBS | LARGER)
    (folder / "train.py").write_text(TRAIN_AND_COMPARE)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines=1", "--num_processes=2"]
    several = "--multi_gpu"  # else accelerate starts one, unless there is mpirun
    program = [*launch, several, "--main_process_port=0", "--mixed_precision=no", "train.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-3000:]
    assert "2 processes with equal weights" in done.stdout
    lines = (folder / "dvclive/plots/metrics/train/loss.tsv").read_text().splitlines()
    return [float(line.split("\t")[1]) for line in lines[1:]]
