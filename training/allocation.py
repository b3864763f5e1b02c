"""How the C library's allocator treats what a training step frees: it is kept for the next one."""

import ctypes

# From <malloc.h>, as in mallopt(3); the values are ints of C.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
MOST = 2**31 - 1
TOP_BYTES = 500 * 10**6  # that are asked for at once


def keep_freed_memory() -> None:
    """Have all freed memory kept, in one heap, where the library can (glibc).

    By default it gives a step's tensors back to the kernel and gets them anew, page by page, with each step: a quarter
    more time on two cores (docs/experiments.md).
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)  # no tensor has a mapping of its own
        library.mallopt(M_TRIM_THRESHOLD, MOST)
        library.mallopt(M_TOP_PAD, TOP_BYTES)
        library.mallopt(M_ARENA_MAX, 1)
