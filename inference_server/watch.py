"""Watches a Triton that serves, and ends it when it is stalled: whoever keeps it running then starts another.

Triton 24.10 restarts no instance of its Python backend, and gives the late answer of a stalled one to the next
request. So a stalled instance ends the whole server. Three signs tell that something is stalled:

- A stub did not run for STUB_S. A healthy one wakes several times a second.
- A small inference has no answer for QUIET_S, and meanwhile nobody computes.
- A small inference has no answer for TRITON_STALL_S, however busy the server is.
"""

import http.client
import json
import math
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference_server.child import Child

PROCESSES = Path("/proc")
LOOK_S = 0.25
STUB_S = 1.25  # a healthy stub wakes every 0.3 s
QUIET_S = 1.0  # with ASK_S and LOOK_S: a server that stands still is ended within 2.25 s
COMPUTES = 0.05  # of one core: a server that is at work takes more, one that waits for nothing takes less
SIDE = 32  # what stands for a size that the model leaves open; a segmenter takes multiples of 32
ASK_S = 1.0  # between two small inferences
NOT_HEALTHY = b"not healthy"  # Triton's answer in place of a stub's: from then on answers may be mixed up
NUMBERS = {"FP32", "FP64", "BOOL", *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))}


class Watch:
    """Two threads: one looks at the processes, one asks for small inferences."""

    def __init__(
        self, process: Child, stubs: Sequence[int], address: str, models: Sequence[str], stall_s: float
    ) -> None:
        self.reason = ""  # why Triton was ended; empty as long as nothing is stalled
        self._process, self._stubs = process, stubs
        self._address, self._models, self._stall_s = address, models, stall_s
        self._asking = False  # whether a small inference waits for its answer
        self._patience_s = QUIET_S  # how long it may wait without anybody computing
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=work.__name__, daemon=True) for work in (self._look, self._ask)
        ]

    def start(self) -> None:
        """Start watching."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop watching, without waiting for an answer that may never come."""
        self._over.set()
        self._threads[0].join()

    def _end(self, reason: str) -> None:
        if not self._over.is_set():
            self.reason = reason
            self._over.set()
            self._process.kill()

    def _look(self) -> None:
        seen = _Seen(self._stubs)
        last_s = time.monotonic()
        used_s, since_s = 0.0, None
        while not self._over.wait(LOOK_S):
            now_s = time.monotonic()
            if now_s - last_s > 4 * LOOK_S:  # this process did not run either: the whole machine stood still
                seen, since_s = _Seen(self._stubs), None
            last_s = now_s
            if stalled := seen.stalled(now_s):
                self._end(f"instance {stalled} did not run for {STUB_S:g} s")
            if not self._asking:
                since_s = None
            elif since_s is None:
                since_s, used_s = now_s, self._used_s()
            elif now_s - since_s > self._stall_s:
                self._end(f"it answered no small inference within {self._stall_s:g} s")
            elif now_s - since_s > self._patience_s and not self._computed(used_s, now_s - since_s):
                self._end(f"it answered no small inference within {now_s - since_s:.1f} s, and did not compute either")

    def _computed(self, used_s: float, elapsed_s: float) -> bool:
        busy = self._used_s() - used_s > COMPUTES * elapsed_s
        return busy or any(wants_to_run(pid) for pid in (self._process.pid, *self._stubs))

    def _used_s(self) -> float:
        return sum(used_s(pid) for pid in (self._process.pid, *self._stubs))

    def _ask(self) -> None:
        unknown = list(self._models)
        questions: list[tuple[str, bytes]] = []
        while unknown or questions:
            for model in list(unknown):
                if (config := self._config(model)) is not None:
                    unknown.remove(model)
                    questions += self._questions(model, config)
            for path, body in questions:
                if NOT_HEALTHY in (self._answer(path, body) or b""):
                    self._end("one of its instances did not answer in time")
            if self._over.wait(ASK_S):
                return

    def _answer(self, path: str, body: bytes | None = None) -> bytes | None:
        """Ask, and let `_look` know meanwhile; None where there is no answer."""
        self._asking = True
        answered = fetch(self._address, path, body, timeout_s=self._stall_s + 1)
        self._asking = False
        return None if answered is None else answered[1]

    def _config(self, model: str) -> dict[str, Any] | None:
        """Return a model's configuration; None while the server does not tell it."""
        try:
            config = json.loads(self._answer(f"/v2/models/{model}/config") or b"")
        except ValueError:
            return None
        return config if isinstance(config, dict) and "name" in config else None

    def _questions(self, model: str, config: dict[str, Any]) -> list[tuple[str, bytes]]:
        """Return path and body of a small inference; nothing for a model that wants something else than numbers."""
        delay_us = config.get("dynamic_batching", {}).get("max_queue_delay_microseconds", 0)
        self._patience_s = max(self._patience_s, QUIET_S + delay_us / 1e6)
        inputs = [_zeros(tensor, batched=config["max_batch_size"] > 0) for tensor in config.get("input", [])]
        if not inputs or None in inputs:
            return []
        wanted = [{"name": output["name"], "parameters": {"binary_data": True}} for output in config["output"]]
        return [(f"/v2/models/{model}/infer", json.dumps({"inputs": inputs, "outputs": wanted}).encode())]


class _Seen:
    """When each stub was last seen to run."""

    def __init__(self, stubs: Sequence[int]) -> None:
        self._runs = {pid: switches(pid) for pid in stubs}
        self._ran_s = dict.fromkeys(stubs, time.monotonic())

    def stalled(self, now_s: float) -> int | None:
        """Return a stub that did not run for STUB_S."""
        for pid, before in self._runs.items():
            now = switches(pid)
            if now != before or wants_to_run(pid):
                self._runs[pid], self._ran_s[pid] = now, now_s
            elif now_s - self._ran_s[pid] > STUB_S:
                return pid
        return None


def switches(pid: int) -> int:
    """Return how often the threads of a process have been switched; -1 if it has ended."""
    texts = [text for task in _tasks(pid) if (text := _read(task / "status"))]
    counted = [int(line.split()[1]) for text in texts for line in text.splitlines() if "_ctxt_switches" in line]
    return sum(counted) if counted else -1


def wants_to_run(pid: int) -> bool:
    """Return whether a thread of the process runs, or waits for a processor or a disk."""
    return any(_read(task / "stat").rpartition(")")[2].startswith((" R", " D")) for task in _tasks(pid))


def used_s(pid: int) -> float:
    """Return the processor time that a process has used; 0 if it has ended."""
    fields = _read(PROCESSES / str(pid) / "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _tasks(pid: int) -> list[Path]:
    try:
        return list((PROCESSES / str(pid) / "task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # it ended in between
        return ""


def fetch(address: str, path: str, body: bytes | None = None, *, timeout_s: float) -> tuple[int, bytes] | None:
    """Return status and body of the answer; None where there is no answer."""
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _zeros(tensor: dict[str, Any], *, batched: bool) -> dict[str, Any] | None:
    datatype = tensor["data_type"].removeprefix("TYPE_")
    if datatype not in NUMBERS:
        return None
    shape = [1] * batched + [SIDE if size < 0 else size for size in map(int, tensor["dims"])]
    return {"name": tensor["name"], "shape": shape, "datatype": datatype, "data": [0] * math.prod(shape)}
