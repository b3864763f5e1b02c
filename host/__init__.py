"""The process and the machine under it: files, allocator, cores, commit. The standard library alone.

Takes nothing from the other folders and knows none of them, so any of them may use it.
"""
