"""Chooses whether container engines are told of leases, and by which command they attach."""

import os
import sys
from pathlib import Path
from typing import Final

import structlog

from gpusched.adapters.cdi.folder import CdiFolder
from gpusched.bootstrap.plan import Plan
from gpusched.config.paths import instance_name
from gpusched.daemon.containers import Containers

ENGINES_LOOK: Final = (Path("/var/run/cdi"), Path("/etc/cdi"))
"""Where every engine looks, what a daemon generates first (CDI's SPEC.md)."""


def containers_of(plan: Plan) -> Containers:
    """Choose for *plan*."""
    folder = Path(plan.config.cdi_directory)
    instance = instance_name(plan.state, simulated=plan.scenario is not None)
    if not _wanted(plan, folder):
        # It may have been switched off just now.
        return Containers(CdiFolder(folder, instance, ()), told=False)
    looks = dict.fromkeys((folder, *ENGINES_LOOK))
    structlog.get_logger().info("containers are told of leases", folder=str(folder))
    # -I: neither its folder nor the environment of whoever starts a container says what is run.
    hook = (sys.executable, "-I", "-m", "gpusched", "oci-hook")
    return Containers(CdiFolder(folder, instance, looks), str(plan.socket), hook)


def _wanted(plan: Plan, folder: Path) -> bool:
    if plan.config.cdi != "auto":
        return plan.config.cdi == "on"
    if plan.scenario is not None:
        return False  # what is simulated touches nothing of the host's, unless it is told to
    # Only root's daemon may write there, and can put a container's cgroup under a lease.
    here = any(one.is_dir() for one in (folder, *ENGINES_LOOK))
    return here and os.geteuid() == 0 and not plan.advisory
