"""The process and its machine: files, environment variables, allocator, cores, memory, commit.

It uses only the standard library and knows none of the other folders, so any of them may use it.
"""
