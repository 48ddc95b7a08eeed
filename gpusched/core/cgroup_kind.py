"""What a cgroup's path says of it: a session, whose processes may be moved, or somebody's own.

A service manager or a container engine looks after the processes of its units by their cgroup:
moved out, they would be lost to it. Paths as systemd, Docker, Podman, containerd, CRI-O, LXC and
Slurm make them.
"""

import re

from gpusched.core.cgroup_name import container_in, container_of

_CONTAINER = re.compile(
    r"/(docker|libpod|crio|cri-containerd|kubepods|lxc\.payload|machine\.slice|buildkit)\b"
    r"|/(docker|libpod|crio|cri-containerd|lxc\.payload)[-.]"
    r"|[/_]slurmstepd\.scope\b"
)
_USER_MANAGER = re.compile(r"^user@\d+\.service$")


def stays(path: str) -> bool:
    """Say whether processes of the cgroup *path* are masked in place instead of moved."""
    if _CONTAINER.search(path) or container_in(path):
        return True
    units = [part for part in path.split("/") if part.endswith((".service", ".scope"))]
    own = [one for one in units if not _USER_MANAGER.match(one)]
    # The scope of a service manager itself: moved, it would lose what it looks after.
    return bool(own) and (own[-1].endswith(".service") or own[-1] == "init.scope")


def is_ones_own(path: str, uid: int) -> bool:
    """Say whether nobody beside *uid* can come into the cgroup *path* by himself.

    It is of one service, scope or container, or in the slice of the user; any other may be a part
    of the host that he happens to be alone in, such as `/user.slice` at night.
    """
    own = f"user-{uid}.slice"
    parts = path.split("/")
    unit = any(part.endswith((".service", ".scope")) or part == own for part in parts)
    return unit or container_of(path) is not None


def encloses(outer: str, inner: str) -> bool:
    """Say whether *outer* is an ancestor of *inner*; a cgroup does not enclose itself."""
    return inner != outer and inner.startswith(outer.rstrip("/") + "/")
