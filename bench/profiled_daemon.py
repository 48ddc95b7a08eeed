"""gpusched under cProfile: `python -m bench.profiled_daemon FILE serve …`.

Profiles the thread of the event loop, and writes the statistics to FILE when the daemon ends.
"""

import cProfile
import sys

from gpusched.__main__ import main

if __name__ == "__main__":
    profile = cProfile.Profile()
    stats = sys.argv[1]
    sys.argv = ["gpusched", *sys.argv[2:]]
    try:
        code = profile.runcall(main)
    finally:
        profile.dump_stats(stats)
    sys.exit(code)
