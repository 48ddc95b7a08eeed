"""The open descriptors of the tests' own process, for tests that must leave none."""

import gc
import os


def descriptors() -> int:
    """Count them; what earlier tests left to the garbage collector is closed first, as far as it
    goes at once: fewer than before is no leak.
    """
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - its own descriptor counts each time
