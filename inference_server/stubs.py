"""Triton's stub processes, one for each instance of the model: watched from outside.

Triton neither restarts a stub that died nor stops calling itself ready: every request that meets that instance is
answered with 500 from then on. So a server that lost a stub counts as a server that has ended.
"""

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from inference_server.child import Child, Waitable, first_of

PROCESSES = Path("/proc")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where Triton and its stubs exchange tensors


@contextmanager
def watched(process: Child) -> Iterator[Waitable]:
    """Yield what becomes readable when tritonserver or one of its stubs has ended.

    If one has, tritonserver is killed at the end of the block, as it would wait for the dead stub until its time is
    over, and the memory that it shared with its stubs is freed.
    """
    stubs = [pid for pid in _group(process.pid) if pid != process.pid]
    regions = [region for pid in stubs for region in _shared_memory(pid)]
    with ExitStack() as descriptors:
        ended = descriptors.enter_context(select.epoll())
        ended.register(process, select.EPOLLIN)
        for pid in stubs:
            descriptor = os.pidfd_open(pid)
            descriptors.callback(os.close, descriptor)
            ended.register(descriptor, select.EPOLLIN)
        try:
            yield ended
        finally:
            if first_of([ended], timeout_s=0) is not None:
                process.kill()
                for region in regions:
                    region.unlink(missing_ok=True)


def _group(number: int) -> list[int]:
    """Return the ids of all processes of a process group."""
    members = []
    for entry in PROCESSES.glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int(entry.name)
            if os.getpgid(pid) == number:
                members.append(pid)
    return members


def _shared_memory(pid: int) -> list[Path]:
    """Return the shared memory that a stub was given, which its command line names."""
    words = (PROCESSES / str(pid) / "cmdline").read_text().split("\0")
    return [SHARED_MEMORY / word for word in words if "_shm_region_" in word]
