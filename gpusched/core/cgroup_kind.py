"""What a cgroup's path says of it: a session, whose processes may be moved, or somebody's own.

A service manager or a container engine looks after the processes of its units by their cgroup:
moved out, they would be lost to it. Paths as systemd, Docker, Podman, containerd, CRI-O, LXC and
Slurm make them.
"""

import re

from gpusched.core.cgroup_name import container_in

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


def encloses(outer: str, inner: str) -> bool:
    """Say whether *outer* is an ancestor of *inner*; a cgroup does not enclose itself."""
    return inner != outer and inner.startswith(outer.rstrip("/") + "/")
