"""What the machine gives, held against what serving needs, before anything starts; each lack names its remedy.

A limit below what one instance needs is refused. One that only makes serving slower or smaller is a warning.
"""

import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

from host.control_groups import MOUNT, OF_THIS_PROCESS, control_groups
from host.descriptors import raise_descriptors
from host.environment import near_misses
from host.memory import MIB, SHARED_MEMORY, memory_limit_bytes, shared_memory_bytes
from inference_server.errors import LimitError
from inference_server.settings import BESIDES_BYTES, INSTANCE_BYTES, SHARED_BYTES, Settings

# Counted in /proc of a Triton 24.10 that serves: tritonserver has 87 threads and a stub 9, of which each may have more
# by MODEL_THREADS; launcher, guard and proxy have fewer than 20. Descriptors: 60, and each connection takes one.
THREADS, THREADS_OF_INSTANCE = 112, 11
DESCRIPTORS = 512
LARGEST_FILE = 64 * MIB  # model, backend and shared memory are files
NEEDED_IN_SHARED_MEMORY = 2 * MIB  # for an instance to start at all


def refuse_limits(settings: Settings) -> None:
    """Refuse a machine on which not even the asked instances would start.

    Raises: LimitError, which names the remedy.
    """
    if (files := raise_descriptors()) < DESCRIPTORS:
        raise LimitError(
            f"{files} open files are allowed, of the {DESCRIPTORS} needed: raise the limit (`ulimit -n`, or the "
            "container's `--ulimit nofile`)"
        )
    threads = THREADS + settings.instances * (THREADS_OF_INSTANCE + settings.threads)
    if (allowed := threads_allowed()) < threads:
        raise LimitError(
            f"{allowed} more threads are allowed, of the {threads} needed: raise the limit (`ulimit -u`, or the "
            "container's `--pids-limit`)"
        )
    largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)  # the soft limit is the one that the kernel enforces
    if resource.RLIM_INFINITY != largest < LARGEST_FILE:
        raise LimitError(f"files of at most {largest // MIB} MiB are allowed: raise the limit (`ulimit -f unlimited`)")
    if not os.access(SHARED_MEMORY, os.W_OK):
        raise LimitError(f"{SHARED_MEMORY} cannot be written to: mount a tmpfs there that this user may write to")
    needed = settings.instances * NEEDED_IN_SHARED_MEMORY
    if (free := shared_memory_bytes()) < needed:
        raise LimitError(
            f"{SHARED_MEMORY} has {free / MIB:.0f} MiB free, of the {needed // MIB} MiB needed: "
            f"{_more_shared(settings.instances)}"
        )


def warn(environment: Mapping[str, str], settings: Settings, say: Callable[[str], None], *others: type) -> None:
    """Tell which variables look misspelled, by these settings and `others`, and which limits are too small."""
    for warning in [*near_misses(environment, *others, Settings), *warnings(settings)]:
        say(warning)


def warnings(settings: Settings) -> list[str]:
    """Return what is so small that serving suffers, each in one line with its remedy."""
    found = []
    instances = settings.instances
    memory, needed = memory_limit_bytes(), BESIDES_BYTES + instances * INSTANCE_BYTES
    if memory < needed:
        found.append(
            f"memory is short: {memory // MIB} MiB, of the {needed // MIB} MiB that {_instances(instances)} may take: "
            "give it more, or set MODEL_INSTANCES or the proxy's MAX_PIXELS to less"
        )
    shared = shared_memory_bytes()
    wanted = settings.model_instances or settings.instances_in_memory
    if shared < wanted * SHARED_BYTES:
        fewer = f"so {_instances(instances)} of {wanted} start, and"
        found.append(
            f"shared memory is short: {SHARED_MEMORY} has {shared // MIB} MiB free, "
            f"{fewer if instances < wanted else f'too little for {_instances(wanted)}, so'} large images may fail: "
            f"{_more_shared(wanted)}"
        )
    return found


def _instances(number: int) -> str:
    return "1 instance" if number == 1 else f"{number} instances"


def _more_shared(instances: int) -> str:
    size = max(64, instances * SHARED_BYTES // MIB)
    return f"start the container with `--shm-size={size}m`, or remount {SHARED_MEMORY} with size={size}m"


def threads_allowed(of_process: Path = OF_THIS_PROCESS, mount: Path = MOUNT) -> float:
    """Return how many more threads the control groups allow, and at most what the user's limit of processes allows."""
    allowed = [float("inf")]
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and os.geteuid() != 0:  # the kernel enforces the limit for all users but root
        allowed.append(soft)
    for group in control_groups("pids", of_process, mount):
        most, now = group / "pids.max", group / "pids.current"
        if most.exists() and (text := most.read_text(encoding="utf-8").strip()) != "max":
            allowed.append(int(text) - int(now.read_text(encoding="utf-8")))
    return min(allowed)
