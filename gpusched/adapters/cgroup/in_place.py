"""Which cgroup may get a mask as it is, with the processes that are in it.

Exists so that no mask ever binds somebody who did not ask: not the host, not the daemon, not
another user's process. Only looks; every function blocks.
"""

import os
from collections.abc import Iterable

from gpusched.adapters.cgroup.descent import read_stat
from gpusched.adapters.cgroup.hierarchy import Hierarchy, lies_in
from gpusched.adapters.cgroup.moving import somebody_elses
from gpusched.adapters.procfs.tree import member_of
from gpusched.core.actions import Prepare
from gpusched.core.ids import ProcessId
from gpusched.ports import EnforceError


def place_of(hierarchy: Hierarchy, order: Prepare) -> str:
    """Say which cgroup is meant: where the process is at this moment, or the one that is named.

    Raises:
        EnforceError: The process has ended, or is no longer where the order saw it.
    """
    if order.process is None:
        return order.cgroup
    where = current_place(hierarchy, order.process)
    # In a lease's cgroup of systemd's the process is in a scope of the slice that is meant.
    if not lies_in(where, order.cgroup):
        raise EnforceError(
            f"process {order.process.pid} has gone from cgroup {order.cgroup} to {where} "
            "meanwhile; attach it again",
            refused=True,
        )
    return order.cgroup


def current_place(hierarchy: Hierarchy, process: ProcessId) -> str:
    """Give the cgroup of exactly *process*.

    Raises:
        EnforceError: It has ended.
    """
    where = hierarchy.where(process.pid)
    stat = read_stat(process.pid)
    if where is None or stat is None or stat.identity != process:
        raise EnforceError(
            f"process {process.pid} has ended; there is nothing to mask", refused=True
        )
    return where


def check_place(
    hierarchy: Hierarchy, path: str, ours: Iterable[str], only_uid: int | None
) -> tuple[ProcessId, ...]:
    """Refuse a cgroup that must not get a mask in place; give the processes of one that may.

    Args:
        hierarchy: Where it is.
        path: Of the cgroup.
        ours: Paths of all cgroups that gpusched made.
        only_uid: Real, effective and saved uid that each of its processes must have; None: any.

    Raises:
        EnforceError: It is refused.
    """
    reason = _reason_against(hierarchy, path, ours) or hierarchy.obstacle(path)
    if reason is not None:
        raise EnforceError(reason, refused=True)
    found: list[ProcessId] = []
    for pid in hierarchy.pids(path):
        member = member_of(pid) if pid else None
        if member is not None:
            if only_uid is not None and set(member.uids) != {only_uid}:
                raise somebody_elses(member, only_uid)
            found.append(member.process)
        elif pid == 0 and only_uid is not None:
            raise EnforceError(
                f"cgroup {path} has a process that the daemon cannot see; run the daemon in the "
                "host's PID namespace, or let root attach it",
                refused=True,
            )
    return tuple(found)


def _reason_against(hierarchy: Hierarchy, path: str, ours: Iterable[str]) -> str | None:
    if path == "/":
        return "the root cgroup is everybody's and gets no mask; start the work by `gpusched run`"
    if lies_in(hierarchy.where(os.getpid()), path):
        return (
            f"the daemon itself is in cgroup {path}, so it gets no mask; "
            "start the work by `gpusched run`"
        )
    inner = next((one for one in ours if one != path and lies_in(one, path)), None)
    if inner is not None:
        return (
            f"cgroup {inner} of another lease lies below {path}, so that gets no mask; "
            "attach the process that needs the device"
        )
    return None
