"""Chooses who makes leases true: systemd's slices, cgroups of our own, or nobody, and says why."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gpusched.adapters.cgroup.enforcer import CgroupEnforcer
from gpusched.adapters.cgroup.guard import CgroupGuard, infrastructure_folders
from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.adapters.cgroup.home import FolderHome, Home
from gpusched.adapters.cgroup.mounting import open_hierarchy
from gpusched.adapters.cgroup.programs import Programs
from gpusched.adapters.null import NullEnforcer, NullGuard, NullUnits
from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.adapters.procfs.hierarchy import Hierarchy as ProcessHierarchy
from gpusched.bootstrap.plan import Plan
from gpusched.bootstrap.wrapping import Wrap
from gpusched.config.paths import instance_name
from gpusched.core.device import DeviceNode
from gpusched.ports import Clock, EnforceError, Enforcer, Guard, Units

NOT_ROOT = "the daemon runs without root, so it can make no cgroups and attach no programs"

ASKED = "the daemon was started with --advisory"

_THREADS = 4


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Who makes leases true, and who finds their processes in the same hierarchy."""

    enforcer: Enforcer
    guard: Guard
    table: ProcfsProcessTable


def enforcement_of(
    plan: Plan, clock: Clock, nodes: Callable[[], Iterable[DeviceNode]], wrap: Wrap
) -> Enforcement:
    """Choose for *plan*; *nodes* gives the device nodes that a new mask is tried with."""
    if os.geteuid() != 0:
        return _nobody(NOT_ROOT)
    if plan.advisory:
        return _nobody(ASKED)
    try:
        hierarchy = wrap(open_hierarchy(plan.state / "cgroup2"))
    except EnforceError as error:
        return _nobody(str(error))
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gpusched-cgroup")
    home = wrap(_home(plan, hierarchy, threads))
    enforcer = CgroupEnforcer(home, wrap(Programs()), hierarchy, threads, clock, nodes)
    table = ProcfsProcessTable(ProcessHierarchy(hierarchy.root))
    return Enforcement(wrap(enforcer), wrap(_guard(plan, hierarchy)), table)


def _nobody(reason: str) -> Enforcement:
    return Enforcement(NullEnforcer(reason), NullGuard(reason), ProcfsProcessTable())


def _guard(plan: Plan, hierarchy: Hierarchy) -> Guard:
    own = hierarchy.where(os.getpid())
    if own is None:
        return NullGuard("the daemon's own cgroup is not known, and it must be let through")
    try:
        return CgroupGuard(
            hierarchy.folder(plan.config.guard_top),
            hierarchy.folder(own),
            infrastructure_folders(hierarchy.root, plan.config.guard_admits),
        )
    except EnforceError as error:
        return NullGuard(str(error))


def _home(plan: Plan, hierarchy: Hierarchy, threads: ThreadPoolExecutor) -> Home:
    instance = instance_name(plan.state, simulated=plan.scenario is not None)
    if systemd_runs(hierarchy):
        # Here, because a host without systemd need not hold 5 MB of D-Bus.
        from gpusched.adapters.systemd.slices import SliceHome  # noqa: PLC0415 - see above

        return SliceHome(name=instance)
    return FolderHome(hierarchy, threads, instance)


def units_here() -> Units:
    """Give whoever knows the units of this host by name."""
    if Path("/run/systemd/system").is_dir():
        from gpusched.adapters.systemd.units import SystemdUnits  # noqa: PLC0415 - as above

        return SystemdUnits()
    return NullUnits("this host is not run by systemd")


def systemd_runs(hierarchy: Hierarchy) -> bool:
    """Say whether systemd has this hierarchy; beside it nobody else may make cgroups."""
    return hierarchy.where(1) == "/init.scope" and Path("/run/systemd/system").is_dir()
