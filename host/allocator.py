"""What the C library's allocator does with freed memory: by default it returns it to the kernel page by page.

The next step then has to get its pages again. That costs a training step a quarter of its time on two cores
(measured in studies/experiments.md), and a request of the proxy a twenty-fifth: 30 to 60 page faults.
"""

import ctypes

# From <malloc.h>, as in mallopt(3); the values are ints of C.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -3, -4, -8
LARGEST_INT = 2**31 - 1


def keep_all_freed_memory() -> None:
    """Keep all freed memory in one heap, for a process whose next step needs as much again: training."""
    _set(
        {
            M_MMAP_MAX: 0,  # no tensor has a mapping of its own
            M_TRIM_THRESHOLD: LARGEST_INT,
            M_TOP_PAD: 500 * 10**6,  # bytes that it asks the kernel for at once
            M_ARENA_MAX: 1,
        }
    )


def keep_freed_memory(*, kept_bytes: int, large_bytes: int) -> None:
    """Keep freed memory up to `kept_bytes`; a piece of `large_bytes` or more is returned as soon as it is freed."""
    _set({M_TRIM_THRESHOLD: kept_bytes, M_MMAP_THRESHOLD: large_bytes})


def _set(values: dict[int, int]) -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # glibc has it; elsewhere nothing changes
        for name, value in values.items():
            library.mallopt(name, value)
