"""Ends Triton before it gives a late answer to the wrong request, and this process together with Triton.

When a stub does not react for a second, Triton 24.10 fails the request that waits and keeps the stub. The stub's late
answer then becomes the answer of the next request, and every further one is shifted by one. A process cannot notice
that it is stopped, but afterwards it sees that the clock has jumped.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

TICK_S = 0.1
STALLED_S = 0.6  # with a tick before it and Triton's own 0.3 s between two signs of life, less than its second


class Watchdog:
    """Watches the clock and the parent, tritonserver, in a thread of its own.

    shared_memory: files that this process removes when Triton has ended and cannot do it itself.
    """

    def __init__(self, shared_memory: Sequence[Path] = ()) -> None:
        self._server = os.pidfd_open(os.getppid())
        self._shared_memory = shared_memory
        self._seen_s: float | None = None
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def start(self) -> None:
        """Watch the clock from now on: loading a model may keep every thread waiting."""
        self._seen_s = time.monotonic()

    def check(self) -> None:
        """End everything if this process was stopped; call it before an answer can reach Triton."""
        seen_s, now_s = self._seen_s, time.monotonic()
        if seen_s is None:
            return
        if now_s - seen_s > STALLED_S:
            self.end_server(f"this process was stopped for {now_s - seen_s:.1f} s")
        self._seen_s = now_s

    def end_server(self, reason: str) -> None:
        """Kill Triton and this process. It does not return."""
        with contextlib.suppress(OSError, ValueError):  # whether or not anybody reads it
            sys.stderr.write(
                f"onnxruntime backend: Triton is ended, because an answer could be another request's: {reason}\n"
            )
            sys.stderr.flush()
        signal.pidfd_send_signal(self._server, signal.SIGKILL)
        self._end()

    def _watch(self) -> None:
        while not select.select([self._server], [], [], TICK_S)[0]:
            self.check()
        self._end()

    def _end(self) -> None:
        for region in self._shared_memory:
            region.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)
