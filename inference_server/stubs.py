"""Triton's stub processes, one for each instance of the model.

When a stub dies, Triton does not restart it and still calls itself ready, but answers 500 to every request for that
instance. So a server that lost a stub counts as ended.
"""

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from inference_server.child import Child, Waitable, first_of
from inference_server.errors import ServingError
from inference_server.watch import PROCESSES


@contextmanager
def watched(process: Child) -> Iterator[tuple[Waitable, list[int]]]:
    """Yield what becomes readable when tritonserver or one of its stubs has ended, and the stubs' process ids.

    If one has, tritonserver is killed at the end of the block, as it would wait in vain for the dead stub.

    Raises: ServingError, when a stub ended in this moment.
    """
    with ExitStack() as descriptors:
        ended = descriptors.enter_context(select.epoll())
        ended.register(process, select.EPOLLIN)
        stubs = stubs_of(process)
        for pid in stubs:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                process.kill()
                raise ServingError(
                    "an instance of the model ended while Triton was starting; the reason is in the output above"
                ) from None
            descriptors.callback(os.close, descriptor)
            ended.register(descriptor, select.EPOLLIN)
        try:
            yield ended, stubs
        finally:
            if first_of([ended], timeout_s=0) is not None:
                process.kill()


def stubs_of(process: Child) -> list[int]:
    """Return the ids of the other processes in tritonserver's group."""
    stubs = []
    for entry in PROCESSES.glob("[0-9]*"):
        with suppress(ProcessLookupError):  # it ended in between
            if os.getpgid(int(entry.name)) == process.pid != int(entry.name):
                stubs.append(int(entry.name))
    return stubs
