"""How the C library's allocator treats what a request frees: it is kept for the next one."""

import ctypes

# From <malloc.h>, as in mallopt(3).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
KEPT_BYTES = 64 * 2**20  # that may lie free before any is given back
LARGE_BYTES = 4 * 2**20  # from here on a piece is given back as soon as it is free; a tile and its answer are smaller


def keep_freed_memory() -> None:
    """Have freed memory kept, up to a bound, where the library can (glibc).

    By default it gives a tile's buffers back to the kernel and gets them anew, page by page, with each request: 30 to
    60 page faults, a twenty-fifth of a request's processor time.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
