"""Waits until a server that was started is ready: Triton, or any other that answers 200 at a path."""

import time
from collections.abc import Callable
from http import HTTPStatus

from inference_server.child import Child, Waitable, first_of
from inference_server.errors import StopAskedError
from inference_server.watch import fetch

POLL_S, ANSWER_S = 0.1, 5.0  # between two questions whether a server is ready, and for each answer


def becomes_ready(
    name: str, process: Child, holds: Callable[[], bool], *, timeout_s: float, stop: Waitable | None
) -> bool:
    """Wait until it holds that a process is ready; return False when the process has ended or the time is over.

    Raises: StopAskedError.
    """
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        happened = first_of([process, *([] if stop is None else [stop])], timeout_s=POLL_S)
        if happened is process or (happened is None and time.monotonic() > deadline_s):
            return False
        if happened is not None:
            raise StopAskedError(f"stopped while {name} was starting")
    return True


def is_ready(address: str, path: str) -> bool:
    """Return whether a server answers 200 at this path."""
    answer = fetch(address, path, timeout_s=ANSWER_S)
    return answer is not None and answer[0] == HTTPStatus.OK


def has_identifier(address: str, identifier: str) -> bool:
    """Return whether the Triton that answers here has this `--id`: another may have taken the port first."""
    answer = fetch(address, "/v2", timeout_s=ANSWER_S)
    return answer is not None and identifier.encode() in answer[1]
