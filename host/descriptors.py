"""How many files and connections a process may have open."""

import resource

ENOUGH_DESCRIPTORS = 2**20  # some engines set no limit at all, and some programs make a table for all that are allowed


def raise_descriptors() -> int:
    """Raise the soft limit of open files to the hard one, at most to a million, and return that.

    The children of this process inherit it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, ENOUGH_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
