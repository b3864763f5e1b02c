"""On a GPU worker processes make the crops: the same ones, bit for bit, and on a CPU there are none of them."""

import contextlib
import multiprocessing
import os
import signal

import pytest
import torch
from training_data import params_with, real_sample

from training.errors import TrainingError
from training.fitting import crop_workers
from training.fitting.crop_workers import CropWorkers, made_ahead, worker_count
from training.fitting.crops import CropSampler

# As torch's loader always has, workers fork a process with threads; Python 3.12 and newer say that this is risky.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SAMPLES = [real_sample(name) for name in ("Blowhole/exp1_num_262480", "Break/exp1_num_271361", "Free/exp1_num_10903")]
PARAMS = params_with(train__crop_size=64, train__crops_per_epoch=16, train__batch_size=4).train
BATCH_BYTES = 10 * 320 * 320 * (4 + 8)  # of the shipped parameters: image and label
ROOM = 2**31


@pytest.fixture
def sampler():
    return CropSampler(SAMPLES, PARAMS, 20)


def assert_equal(expected, actual):
    expected, actual = list(expected), list(actual)
    assert len(expected) == len(actual)
    for crops, others in zip(expected, actual, strict=True):
        for plane, other in zip(crops, others, strict=True):
            assert torch.equal(plane, other)


def test_workers_make_the_batches_of_the_sampler_in_its_order_epoch_after_epoch(sampler):
    workers = CropWorkers(sampler, 2)
    for epoch in (3, 4, 3):
        assert_equal(sampler.batches(epoch), workers.batches(epoch))


def test_workers_of_several_processes_make_each_ones_share(sampler):
    for process in range(2):
        assert_equal(
            sampler.batches(1, process=process, processes=2),
            CropWorkers(sampler, 2).batches(1, process=process, processes=2),
        )


def test_workers_leave_torchs_own_random_numbers_alone(sampler):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    list(CropWorkers(sampler, 1).batches(0))
    assert torch.equal(expected, torch.rand(3))


# torch tells of the death wherever the process happens to be, perhaps where the loader is thrown away
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_that_is_killed_ends_the_training_with_what_to_do(sampler):
    batches = CropWorkers(sampler, 1).batches(0)
    next(batches)
    (worker,) = multiprocessing.active_children()
    with contextlib.suppress(RuntimeError):  # torch's handler of SIGCHLD raises it, wherever the process is by then
        os.kill(worker.pid, signal.SIGKILL)
        worker.join(20)
    with pytest.raises(TrainingError, match=r"a process that makes crops ended .*--shm-size=2g"):
        list(batches)


@pytest.mark.parametrize(("device", "workers"), [("cpu", None), ("cuda", 1)])
def test_only_a_run_on_a_gpu_has_workers(sampler, monkeypatch, device, workers):
    monkeypatch.setattr(crop_workers, "usable_cores", lambda: 2)
    crops = made_ahead(sampler, torch.device(device))
    assert (crops is sampler) == (workers is None)
    assert workers == getattr(crops, "workers", None)


@pytest.mark.parametrize(
    ("cores", "gpus", "room", "workers"),
    [
        (16, 1, ROOM, 8),  # more would idle
        (4, 1, ROOM, 3),  # the training process needs a core
        (1, 1, ROOM, 0),
        (16, 4, ROOM, 3),  # each GPU may have a process with workers of its own
        (16, 1, 64 * 2**20, 1),  # Docker's default
        (16, 1, 16 * 2**20, 0),
    ],
)
def test_there_are_as_many_workers_as_cores_and_shared_memory_allow(cores, gpus, room, workers):
    assert workers == worker_count(BATCH_BYTES, cores=cores, gpus=gpus, room=room)
