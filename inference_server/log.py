"""What Triton writes: kept while it starts, forwarded afterwards, and searched for the reason when it fails."""

import re
import sys
import threading
from collections import deque
from typing import IO

KEPT_LINES = 400
HARMLESS = (  # on every machine without a GPU
    "CudaDriverHelper has not been initialized",
    "no pinned memory pool",
    "Signal (",  # the launcher sent it
)
REASON = re.compile(r"failed to load|Invalid argument|error: ", re.IGNORECASE)
END_TIMEOUT_S = 5


class Log:
    """Reads a child's output to its end in a thread of its own."""

    def __init__(self, source: IO[str], target: IO[str] = sys.stderr, *, live: bool) -> None:
        self._source = source
        self._target = target
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._live = live
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="triton-log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._source:
            if any(harmless in line for harmless in HARMLESS):
                continue
            with self._lock:
                if self._live:
                    self._write(line)
                else:
                    self._kept.append(line)

    def _write(self, line: str) -> None:
        self._target.write(line)
        self._target.flush()

    def forward(self) -> None:
        """Write what was kept, and everything from now on as it comes."""
        with self._lock:
            for line in self._kept:
                self._write(line)
            self._kept.clear()
            self._live = True

    def reason(self) -> str:
        """Return the line that says why Triton failed."""
        self._thread.join(END_TIMEOUT_S)
        with self._lock:
            lines = [line.strip() for line in self._kept if line.strip()]
        return next(filter(REASON.search, lines), lines[-1] if lines else "it said nothing")
