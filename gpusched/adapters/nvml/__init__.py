"""The NVIDIA Management Library, kept in a process of its own.

`supervisor` is what the daemon uses; `child` is the other process, and everything that loads the
library is reached from there only. Nothing is imported here: each of the two processes pays for
its own half alone.
"""
