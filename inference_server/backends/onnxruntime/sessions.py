"""An instance's sessions: one with its own threads, one with the cores of all instances for while the others are idle.

Both give the same bytes, since ONNX Runtime's threads share out what an operator writes, and never a sum. Knows ONNX
Runtime, not Triton.
"""

import fcntl
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import exact_sums  # type: ignore[import-not-found]  # beside this file, in a folder that Triton puts on the path
import onnxruntime
import signature  # type: ignore[import-not-found]

MOST_THREADS = 4  # of an instance that computes alone: an image is small
QUIET = 3  # calls in a row at whose end no other instance computed; under load that is so at every fourth
PROVIDERS = ["CPUExecutionProvider"]


class Sessions:
    """The sessions of one instance. By locks on the model's file, its instances tell each other that they compute."""

    def __init__(self, path: Path, graph: bytes | Path, config: dict[str, Any]) -> None:
        """Load the graph of the file `path`.

        Raises: SignatureError, and what ONNX Runtime raises.
        """
        options = _options(config)
        threads = _threads_when_alone(config, options.intra_op_num_threads)
        self._wide: onnxruntime.InferenceSession | None = None
        if threads > options.intra_op_num_threads:
            wide = _options(config, spinning=True)  # the cores are idle, …
            wide.intra_op_num_threads = threads
            wide.add_session_config_entry("session.force_spinning_stop", "1")  # … and stay so after the image
            if options.enable_cpu_mem_arena:
                _share_memory()
                for each in (options, wide):
                    each.add_session_config_entry("session.use_env_allocators", "1")
            self._wide = onnxruntime.InferenceSession(graph, wide, providers=PROVIDERS)
        self.own = onnxruntime.InferenceSession(graph, options, providers=PROVIDERS)
        self._file = path.open("rb")
        self._quiet = QUIET

    @contextmanager
    def session(self) -> Iterator[onnxruntime.InferenceSession]:
        """Yield the session to compute with. The other instances see this one compute until the `with` block ends."""
        if self._wide is None:
            yield self.own
            return
        alone = self._lock(fcntl.LOCK_EX) and self._quiet >= QUIET
        self._lock(fcntl.LOCK_SH)
        try:
            yield self._wide if alone else self.own
        finally:
            self._quiet = self._quiet + 1 if self._lock(fcntl.LOCK_EX) else 0
            self._lock(fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the model's file."""
        self._file.close()

    def _lock(self, kind: int) -> bool:
        """Take a lock in place of the present one: LOCK_SH to compute, LOCK_EX to learn that no other instance does."""
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except OSError:  # another instance's lock is in the way, or this file system has no locks
            return False
        return True


def _options(config: dict[str, Any], *, spinning: bool = False) -> onnxruntime.SessionOptions:
    options = signature.session_options(config, spinning=spinning)
    exact_sums.sum_exactly(options)
    return options


def _threads_when_alone(config: dict[str, Any], threads: int) -> int:
    """Return at most what all instances have together; threads: of one of them, 0 where it has all cores."""
    instances: int = sum(group.get("count", 1) for group in config.get("instance_group", []))
    return min(MOST_THREADS, instances * threads, len(os.sched_getaffinity(0)))


@functools.cache
def _share_memory() -> None:
    """Let all sessions of this process take memory from one arena: an instance computes with one of them at a time."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg({}))
