"""`gpusched serve`: makes the world of the plan and lets it run."""

import asyncio
import grp
import os
import pwd
import resource
import socket
import sys
import threading
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import psutil
import structlog

import gpusched
from gpusched import log
from gpusched.adapters.clock import RandomIds, SystemClock
from gpusched.adapters.exits import PidfdExitWatch
from gpusched.adapters.null import NullServiceManager
from gpusched.adapters.nvml.known_nodes import RememberingSampler
from gpusched.adapters.nvml.shared_surveyor import SharedSurveyor
from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_command
from gpusched.adapters.signals import PidfdSignaller
from gpusched.adapters.store.lock import StateLock
from gpusched.adapters.store.sqlite import SqliteStore
from gpusched.adapters.systemd.notify import SystemdServiceManager
from gpusched.bootstrap.containers import containers_of
from gpusched.bootstrap.enforcement import enforcement_of, units_here
from gpusched.bootstrap.plan import (
    Plan,
    Refusal,
    answered,
    make_folders,
    make_simulator,
    plan_of,
)
from gpusched.bootstrap.wrapping import Wrap, bare
from gpusched.cli import exits
from gpusched.config.changed import changed
from gpusched.config.read import ConfigFaults
from gpusched.core.errors import InvariantBroken
from gpusched.daemon.lifecycle import Reloaded, World, run
from gpusched.ports import StoreError
from gpusched.rpc.front import FrontLimits
from gpusched.rpc.host import Host
from gpusched.web.doors import Facing, PublicDoors

LOCK_PATIENCE = 5.0
"""Seconds to wait for a daemon that is just ending: a restart must not fail on its predecessor."""

INIT_PID_NAMESPACE = "pid:[4026531836]"
"""Inode of the initial PID namespace, fixed in the kernel (include/linux/proc_ns.h)."""


def serve(options: Namespace, wrap: Wrap = bare) -> int:
    """Run the daemon until it is told to end; return its exit code."""
    try:
        plan = plan_of(options, os.environ)
        log.configure(sys.stderr, options.log_level or plan.config.log_level, as_json=None)
        make_folders(plan)
        with _locked(plan.state):
            _tell(plan)
            ended = asyncio.run(_served(plan, make_simulator(plan), wrap))
    except Refusal as refusal:
        for line in refusal.lines:
            print(f"gpusched: {line}", file=sys.stderr)  # noqa: T201 - before there is a log
        return refusal.code
    if ended is not None:
        structlog.get_logger().error("ended", reason=ended)
        return exits.UNREACHABLE
    return 0


def _tell(plan: Plan) -> None:
    """Say what is being started; where clients do not look by themselves, how they find it."""
    words = {"socket": str(plan.socket), "state": str(plan.state)}
    if plan.simulation is not None:
        words["devices"] = "SIMULATED"
        words["clients"] = f"export GPUSCHED_SOCKET={plan.socket}"
    structlog.get_logger().info("starting", version=gpusched.__version__, **words)


def _locked(state: Path) -> StateLock:
    """Take the state directory, also from a daemon that is just ending."""
    lock, waiting = StateLock(state), 0.0
    while True:
        try:
            lock.acquire()
        except StoreError as error:
            if waiting >= LOCK_PATIENCE:
                raise Refusal(exits.UNREACHABLE, str(error)) from None
            waiting += 0.1
            threading.Event().wait(0.1)
        else:
            return lock


async def _served(plan: Plan, remarks: tuple[str, ...], wrap: Wrap) -> str | None:
    for remark in remarks:
        structlog.get_logger().warning(remark)
    try:
        return await run(_world(plan, remarks, wrap))
    except StoreError as error:
        raise Refusal(exits.UNREACHABLE, str(error)) from None
    except OSError as error:
        raise Refusal(exits.UNREACHABLE, _of_the_kernel(plan, error)) from None
    except InvariantBroken as error:
        raise Refusal(
            exits.DEFECT, f"{plan.state}: the ledger contradicts itself, a defect: {error}"
        ) from None


def _of_the_kernel(plan: Plan, error: OSError) -> str:
    """Say what the kernel refused; of the socket and its folder also what to do."""
    why = error.strerror or str(error)
    if error.filename is None:
        return why
    place = Path(error.filename)
    ours = place.is_relative_to(plan.socket.parent) or plan.socket.is_relative_to(place)
    return f"{place}: {why}" + ("; name another socket with --socket" if ours else "")


def _world(plan: Plan, remarks: tuple[str, ...], wrap: Wrap) -> World:
    if answered(plan.socket):
        raise Refusal(
            exits.UNREACHABLE, f"another gpusched answers at {plan.socket}; end it first"
        )
    connections = _raise_descriptor_limit()
    config, clock = plan.config, SystemClock()
    manager = SystemdServiceManager.from_environment(os.environ, os.getpid())
    child = _child(plan)
    sampler = RememberingSampler(child)
    enforcement = enforcement_of(plan, clock, sampler.nodes, wrap)
    table = enforcement.table
    facing = Facing(
        clock=clock,
        ids=RandomIds(),
        table=table,
        host=_host(plan, clock, remarks),
        surveyor=SharedSurveyor(child),
        units=units_here(),
        is_admin=_is_admin(config.admin_group),
        limits=FrontLimits(config.connections_per_user, connections),
    )
    return World(
        version=gpusched.__version__,
        policy=config.policy,
        interval=config.interval,
        boot_patience=0.0 if plan.simulation else config.boot_patience,
        clock=clock,
        store=wrap(_store(plan)),
        sampler=sampler,
        table=table,
        enforcer=enforcement.enforcer,
        guard=enforcement.guard,
        exits=PidfdExitWatch(table.identify),
        signaller=PidfdSignaller(table.identify),
        manager=manager or NullServiceManager(),
        doors=PublicDoors(plan.socket, facing),
        reload=_reloading(plan),
        containers=containers_of(plan),
    )


def _child(plan: Plan) -> NvmlChild:
    patience = Patience(deadline=plan.config.sample_deadline)
    return NvmlChild(child_command(plan.simulation), patience=patience)


def _store(plan: Plan) -> SqliteStore:
    config = plan.config
    return SqliteStore(
        plan.state / "ledger.db",
        stories_kept=config.events_kept,
        stories_time=config.events_time,
    )


def _host(plan: Plan, clock: SystemClock, remarks: tuple[str, ...]) -> Host:
    simulator = {} if plan.simulation is None else {"GPUSCHED_SIMULATOR": str(plan.simulation)}
    return Host(
        node=socket.gethostname(),
        version=gpusched.__version__,
        socket=str(plan.socket),
        boot_id=clock.boot_id(),
        started_at=clock.now().wall,
        cores=os.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
        extra_environment=simulator,
        prices=plan.config.prices,
        advisory=plan.advisory,
        remarks=remarks,
        foreign_pid_namespace=str(Path("/proc/self/ns/pid").readlink()) != INIT_PID_NAMESPACE,
        pid=os.getpid(),
        simulated=plan.simulation is not None,
    )


def _reloading(plan: Plan) -> Callable[[], Reloaded | None]:
    """Give what reads the configuration anew; faults are told and leave the old one in force."""
    before = plan.config

    def reload() -> Reloaded | None:
        nonlocal before
        try:
            found = plan.reread()
        except ConfigFaults as error:
            for fault in error.faults:
                structlog.get_logger().error("configuration not taken", fault=fault)
            return None
        different = changed(before, found)
        before = found
        return Reloaded(found.policy, found.interval, different)

    return reload


def _is_admin(group: str) -> Callable[[int, int], bool]:
    def is_admin(uid: int, gid: int) -> bool:
        if uid == 0:
            return True
        try:
            entry = grp.getgrnam(group)
        except KeyError:
            return False
        return gid == entry.gr_gid or _name_of(uid) in entry.gr_mem

    return is_admin


def _name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _raise_descriptor_limit() -> int:
    """Take all descriptors we may; give the connections that take half of them, four for each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most // 8
