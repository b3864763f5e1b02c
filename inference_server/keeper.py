"""Keeps a service running: starts it, waits for its end, and starts it again after a pause that grows.

The first start must succeed; a service that never ran has something wrong that no repetition mends.
"""

import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, Protocol, TypeVar

from inference_server.child import Waitable, first_of
from inference_server.errors import ServingError, StopAskedError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 4.0  # doubled each time; the first start again is at once
LASTING_S = 10.0  # a service that ran so long counts as mended


class Runs(Waitable, Protocol):
    """A service that is ready; its `fileno()` becomes readable when it ends by itself."""

    def why_ended(self) -> ServingError:
        """Return why it ended."""


R = TypeVar("R", bound=Runs)


class Kept(Generic[R]):
    """A service that is started again when it ends; its `fileno()` becomes readable when that is given up."""

    def __init__(
        self,
        name: str,
        start: Callable[[Waitable], AbstractContextManager[R]],
        restarts: int,
        say: Callable[[str], None],
    ) -> None:
        self._name, self._start, self._restarts, self._say = name, start, restarts, say
        self._stopped, self._stop = socket.socketpair()
        self._first, self._is_ready = socket.socketpair()
        self._given_up, self._give_up = socket.socketpair()
        self._service: R | None = None
        self._ready_s = math.inf  # since when it runs
        self._error: ServingError | None = None
        # Its children end with it (PR_SET_PDEATHSIG), so one thread starts them all and ends last.
        self._thread = threading.Thread(target=self._keep, name=f"keep {name}")
        self._thread.start()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when nothing more is tried."""
        return self._given_up.fileno()

    def first(self, stop: Waitable | None) -> R:
        """Wait for the first start, and return what runs.

        Raises: ServingError, or StopAskedError when `stop` happens before.
        """
        happened = first_of([self._first, self, *([stop] if stop is not None else [])])
        if happened is stop:
            raise StopAskedError(f"stopped while {self._name} was starting")
        if happened is self or self._service is None:
            raise self.error()
        return self._service

    def error(self) -> ServingError:
        """Return why nothing more is tried."""
        return self._error or ServingError(
            f"{self._name} is not kept running any more; the reason is in the output above"
        )

    def stop(self) -> None:
        """End the service, and wait until it has ended."""
        self._stop.close()  # which makes the other end readable
        self._thread.join()
        for end in (self._stopped, self._first, self._is_ready, self._given_up, self._give_up):
            end.close()

    def _keep(self) -> None:
        try:
            self._start_again_and_again()
        except ServingError as error:
            self._error = error
        except Exception:  # noqa: BLE001  a bug ends the whole, and its traceback is printed
            sys.excepthook(*sys.exc_info())
        finally:
            self._give_up.shutdown(socket.SHUT_RDWR)

    def _start_again_and_again(self) -> None:
        in_a_row = 0
        while True:
            self._ready_s = math.inf
            error = self._run_once()
            if error is None:
                return
            in_a_row = 1 if time.monotonic() - self._ready_s > LASTING_S else in_a_row + 1
            if self._service is None or isinstance(error, StopAskedError):
                raise error
            if in_a_row > self._restarts:
                raise type(error)(
                    f"{error}. It is not started again: that was end number {in_a_row} in a row (RESTARTS)"
                )
            pause_s = 0.0 if in_a_row == 1 else min(FIRST_PAUSE_S * 2 ** (in_a_row - 2), LONGEST_PAUSE_S)
            self._say(f"{error}; starting {self._name} again in {pause_s:g} s ({in_a_row} of {self._restarts})")
            if first_of([self._stopped], timeout_s=pause_s) is not None:
                return

    def _run_once(self) -> ServingError | None:
        """Run the service until it ends, and return why; None when it was stopped."""
        began_s = time.monotonic()
        try:
            with self._start(self._stopped) as service:
                if self._service is not None:
                    self._say(f"{self._name} is ready again after {time.monotonic() - began_s:.1f} s")
                self._service, self._ready_s = service, time.monotonic()
                self._is_ready.shutdown(socket.SHUT_RDWR)
                if first_of([self._stopped, service]) is self._stopped:
                    return None
                return service.why_ended()
        except ServingError as error:
            return error
        # No process, thread or descriptor is left, which may pass
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            return ServingError(f"{self._name} could not be started or ended: {error}")


@contextmanager
def kept(
    name: str,
    start: Callable[[Waitable], AbstractContextManager[R]],
    *,
    restarts: int,
    stop: Waitable | None,
    say: Callable[[str], None],
) -> Iterator[tuple[Kept[R], R]]:
    """Start a service and keep it running until the end of the `with` block; gives it, and its first run.

    `start` gets what becomes readable when the start is no longer wanted.

    Raises: ServingError of the first start, or StopAskedError.
    """
    keeper = Kept(name, start, restarts, say)
    try:
        yield keeper, keeper.first(stop)
    finally:
        keeper.stop()
