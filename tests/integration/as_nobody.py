"""Runs gpusched as an ordinary user, everything loaded as root: he may not read the project.

Run as `python -m tests.integration.as_nobody WORDS…`; what `run` loads late is loaded before.
"""

import codecs
import os
import sys
from importlib import import_module

from gpusched.__main__ import main

NOBODY = 65534
_LATE = (
    "gpusched.bootstrap.doctor",
    "gpusched.bootstrap.serve",  # and with it what of Python's own is loaded late
    "gpusched.cli.run",
    "gpusched.cli.main",
    "gpusched.launch.landlock",
    "gpusched.launch.supervise",
)

if __name__ == "__main__":
    for name in _LATE:
        import_module(name)
    codecs.lookup("ascii")  # later it would be looked for in files
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    sys.exit(main())
