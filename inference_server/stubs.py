"""Triton's stub processes, one for each instance of the model, and the memory that they share with it.

When a stub dies, Triton does not restart it and still calls itself ready, but answers 500 to every request for that
instance. So a server that lost a stub counts as ended.
"""

import os
import select
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from inference_server.child import Child, Waitable, first_of

PROCESSES = Path("/proc")


@contextmanager
def watched(process: Child) -> Iterator[Waitable]:
    """Yield what becomes readable when tritonserver or one of its stubs has ended.

    If one has, tritonserver is killed at the end of the block, as it would wait in vain for the dead stub.
    """
    regions = shared_memory(process)
    with ExitStack() as descriptors:
        ended = descriptors.enter_context(select.epoll())
        ended.register(process, select.EPOLLIN)
        for pid in _stubs(process):
            descriptor = os.pidfd_open(pid)
            descriptors.callback(os.close, descriptor)
            ended.register(descriptor, select.EPOLLIN)
        try:
            yield ended
        finally:
            if first_of([ended], timeout_s=0) is not None:
                discard(process, regions)


def discard(process: Child, regions: Iterable[Path]) -> None:
    """Kill tritonserver and free its shared memory, which it then cannot free itself."""
    process.kill()
    for region in regions:
        region.unlink(missing_ok=True)


def shared_memory(process: Child) -> set[Path]:
    """Return the memory regions that tritonserver shares with its stubs; none if it has ended."""
    maps = (PROCESSES / str(process.pid) / "maps").read_text()
    return {Path(line.split()[-1]) for line in maps.splitlines() if "_shm_region_" in line}


def _stubs(process: Child) -> list[int]:
    """Return the ids of the other processes in tritonserver's group."""
    stubs = []
    for entry in PROCESSES.glob("[0-9]*"):
        with suppress(ProcessLookupError):  # it ended in between
            if os.getpgid(int(entry.name)) == process.pid != int(entry.name):
                stubs.append(int(entry.name))
    return stubs
