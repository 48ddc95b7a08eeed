"""Runs gpusched as another user: everything is loaded as root, for he may not read the project.

Run as `python -m tests.e2e.as_user UID[,GID…] WORDS…`; becomes the command line with WORDS under
UID, who has the supplementary groups GID.
"""

import codecs
import os
import pkgutil
import sys
from importlib import import_module

import gpusched.bootstrap.guard_off
import gpusched.bootstrap.serve
import gpusched.cli
import gpusched.client
import gpusched.core
import gpusched.launch
from gpusched.__main__ import main


def _load_all() -> None:
    codecs.lookup("ascii")  # later it would be looked for in files
    for package in (gpusched.cli, gpusched.client, gpusched.core, gpusched.launch):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            import_module(found.name)


if __name__ == "__main__":
    _load_all()
    uid, *groups = map(int, sys.argv[1].split(","))
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    sys.argv[1:] = sys.argv[2:]
    sys.exit(main())
