"""Triton's output: kept while it starts, forwarded afterwards, and searched for the reason when it fails."""

import contextlib
import re
import threading
from collections import deque
from typing import IO

KEPT_LINES = 400  # a refusal to start takes about 50
END_TIMEOUT_S = 5  # for the last lines of a Triton that has ended
HARMLESS = (
    "CudaDriverHelper has not been initialized",  # on every machine without a GPU
    "no pinned memory pool",  # likewise
    "Signal (15)",  # the launcher sent it
)
# Where Triton names the reason, the most precise first: a refusal by our backend, a config.pbtxt that cannot be read,
# a refusal by Triton, the port, anything else.
REASONS = tuple(
    re.compile(pattern)
    for pattern in (
        r"TritonModelException: (?P<reason>.*?)(\\n\\nAt:|\"$)",
        r"Error parsing text-format inference.ModelConfig: (?P<reason>.*)",
        r"failed to load '[^']*' version \d+: (?P<reason>.*?)\"?$",
        r"\b(?P<reason>[Ff]ailed to .*?)\"?$",
        r"error: (?P<reason>.*)",
    )
)


class Log:
    """Reads a child's output to its end, in a thread of its own."""

    def __init__(self, source: IO[str], target: IO[str], *, live: bool) -> None:
        self._source = source
        self._target = target
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self._live = live
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="triton-log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._source as lines:
            for line in lines:
                if any(harmless in line for harmless in HARMLESS):
                    continue
                with self._lock:
                    self._kept.append(line)
                    if self._live:
                        write_line(self._target, line)

    def forward(self) -> None:
        """Write the kept lines, and from now on every line as it comes."""
        with self._lock:
            if not self._live:
                for line in self._kept:
                    write_line(self._target, line)
            self._live = True

    def reason(self) -> str:
        """Return the reason that Triton gave, after it has ended."""
        self._thread.join(END_TIMEOUT_S)
        with self._lock:
            lines = list(self._kept)
        return find_reason(lines)


def write_line(target: IO[str], line: str) -> None:
    """Write a line. One that cannot be written, on a full disk or to a reader that has ended, ends no service."""
    with contextlib.suppress(OSError, ValueError):
        target.write(line)
        target.flush()


def find_reason(lines: list[str]) -> str:
    """Return the sentence in Triton's log that says why it did not start."""
    for pattern in REASONS:
        for line in lines:
            if found := pattern.search(line.strip()):
                return found["reason"]
    return lines[-1].strip() if lines else "it gave no reason"
