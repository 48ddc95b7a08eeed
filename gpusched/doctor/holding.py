"""Checks of what can hold a mask, tried and not looked up: cgroups, device programs, Landlock."""

from gpusched.doctor.finding import Remark, Remarks, ok, warn
from gpusched.doctor.mounts import Mount, mounts_of
from gpusched.doctor.situation import Situation

_AS_ROOT = "look as root: `sudo gpusched doctor`"


def check_cgroup(situation: Situation) -> Remarks:
    """Find the cgroup2 tree that the daemon would use."""
    mounts = mounts_of(situation.host)
    trees = [one for one in mounts if one.kind == "cgroup2"]
    old = any(one.kind == "cgroup" for one in mounts)
    usable = [one for one in trees if one.root == "/" and "rw" in one.options]
    if usable:
        yield _usable(situation, usable[-1], old=old)
    elif trees:
        yield _narrow(trees[-1])
    else:
        kind = "only cgroup v1 is mounted" if old else "no cgroup tree is mounted"
        yield warn(
            f"{kind}: a daemon that root starts mounts a cgroup2 tree of its own below its state"
            " directory; the service may not, and its leases are advisory",
            "put `systemd.unified_cgroup_hierarchy=1` on the kernel's command line, or let the"
            " service mount: `systemctl edit gpusched`, there `[Service]` and"
            " `SystemCallFilter=mount`",
        )


def _usable(situation: Situation, tree: Mount, *, old: bool) -> Remark:
    kind = "hybrid, cgroup2 beside v1" if old else "cgroup2"
    if situation.host.uid == 0 and not situation.host.may_write(tree.point):
        return warn(
            f"{kind} at {tree.point}, and root may not write there: leases are advisory",
            "run the daemon on the host, or in a container with --privileged and --cgroupns=host",
        )
    return ok(f"{kind} at {tree.point}, mounted to be written")


def _narrow(tree: Mount) -> Remark:
    what = "read-only" if "rw" not in tree.options else f"only the part {tree.root}"
    return warn(
        f"cgroup2 at {tree.point} is {what}: leases are advisory",
        "run the daemon on the host, or in a container with --privileged and --cgroupns=host",
    )


def check_programs(situation: Situation) -> Remarks:
    """Try a device program: load, attach, and see it deny; or take the daemon's word."""
    level = situation.daemon.level
    if situation.host.uid != 0:
        if level in ("kernel", "guard"):
            yield ok(f"the daemon holds masks: level {level}")
        else:
            yield warn("not visible to this user: only root may try one", _AS_ROOT)
        return
    obstacle = situation.probes.programs()
    if obstacle is None:
        yield ok("one was loaded and attached to a cgroup, and denied a process there its device")
        return
    seen, _, advice = obstacle.rpartition("; ")
    yield warn(
        f"cannot be had: {seen or advice}",
        advice if seen else "without them `gpusched run` of an ordinary user uses Landlock",
    )


def check_landlock(situation: Situation) -> Remarks:
    """Ask the kernel for Landlock."""
    obstacle = situation.probes.landlock()
    if obstacle is None:
        yield ok("can be had: `gpusched run` holds its own mask where the daemon cannot")
    else:
        yield warn(
            f"cannot be had: {obstacle}",
            "needed only where the daemon runs without root; there masks are advisory without it",
        )
