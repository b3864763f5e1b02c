"""Has worker processes make the crops of a run on a GPU, ahead of the steps that use them.

A GPU uses a batch of crops faster than one core makes it. A crop depends on seed, epoch and number alone, so it does
not matter which process makes it: the batches are those of the CropSampler, bit for bit. A CPU has no cores to spare
for this: there the training process itself makes them.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from host.cores import usable_cores
from host.memory import SHARED_MEMORY, shared_memory_bytes
from training.errors import TrainingError
from training.fitting.crops import Crops, CropSampler

MOST_WORKERS = 8  # a core makes a batch in 34 ms, so these make 235 a second
BATCHES_AHEAD = 2  # of each worker, beside the one in its hands

Place = tuple[int, int, int, int]  # epoch, number of the batch, process, processes


class Batches(Protocol):
    """What a trainer is shown: CropSampler, or something that passes its batches on."""

    def batches(self, epoch: int, *, process: int = 0, processes: int = 1) -> Iterator[Crops]:
        """Yield an epoch's batches, as CropSampler does."""


class CropWorkers:
    """Passes on a CropSampler's batches in their order; worker processes make them. They live as long as this does."""

    def __init__(self, sampler: CropSampler, workers: int) -> None:
        self.workers = workers
        self._sampler = sampler
        self._places: list[Place] = []
        self._loader = DataLoader(
            _BatchAt(sampler),
            sampler=self._places,
            batch_size=None,  # an item is a batch already
            num_workers=workers,
            prefetch_factor=BATCHES_AHEAD,
            persistent_workers=True,
            multiprocessing_context="fork",  # the samples' memory is shared, not copied
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # the loader draws from it; torch's own must stay as without workers
        )

    def batches(self, epoch: int, *, process: int = 0, processes: int = 1) -> Iterator[Crops]:
        """Yield what the CropSampler would.

        Raises: TrainingError, when a worker has ended.
        """
        self._places[:] = [(epoch, number, process, processes) for number in range(self._sampler.batches_per_epoch)]
        try:
            yield from self._loader
        except (RuntimeError, EOFError, ConnectionError) as error:  # the last two: while one is handed over
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            raise TrainingError(
                f"a process that makes crops ended ({error!r}): give the machine or the container more memory, and "
                f"{SHARED_MEMORY} more room (docker run --shm-size=2g); the state after the last complete epoch is kept"
            ) from None


class _BatchAt(Dataset[Crops]):
    def __init__(self, sampler: CropSampler) -> None:
        self._sampler = sampler

    def __getitem__(self, place: Place) -> Crops:
        epoch, number, process, processes = place
        return self._sampler.batch(epoch, number, process=process, processes=processes)


def made_ahead(sampler: CropSampler, device: torch.device) -> Batches:
    """Return the sampler with workers if the device is a GPU and there is room for one; otherwise the sampler."""
    if device.type != "cuda":
        return sampler
    batch_bytes = sum(tensor.nbytes for tensor in sampler.batch(0, 0, process=0, processes=1))
    gpus, room = torch.cuda.device_count(), shared_memory_bytes()
    workers = worker_count(batch_bytes, cores=usable_cores(), gpus=gpus, room=room)
    return CropWorkers(sampler, workers) if workers else sampler


def worker_count(batch_bytes: int, *, cores: int, gpus: int, room: int) -> int:
    """Return how many workers a training process starts: each GPU may have one, which needs a core of its own.

    room: bytes of shared memory.
    """
    fitting = room // (max(1, gpus) * batch_bytes * (1 + BATCHES_AHEAD))
    return max(0, min(MOST_WORKERS, cores // max(1, gpus) - 1, fitting))
