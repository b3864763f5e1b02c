"""What the C library's allocator does with freed memory: by default it returns it to the kernel, page by page.

The next picture then has to get its pages again, which takes as long as a tenth of its drawing.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from <malloc.h>, as in mallopt(3)
KEPT_BYTES = 2**24  # of each thread: a large photograph


def keep_freed_memory() -> None:
    """Keep freed memory for the next picture; where the C library is not glibc, nothing changes."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(name, KEPT_BYTES)
