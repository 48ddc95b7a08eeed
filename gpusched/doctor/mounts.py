"""The mount table, read (proc_pid_mountinfo(5)): where what is mounted, and how."""

from dataclasses import dataclass

from gpusched.doctor.host import Host


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount.

    Attributes:
        point: Where.
        root: Which part of the file system it shows; `/`: all of it.
        kind: Of the file system, such as `cgroup2`.
        options: Of the mount and of the file system.
    """

    point: str
    root: str
    kind: str
    options: frozenset[str]


def mounts_of(host: Host) -> tuple[Mount, ...]:
    """Read the mounts of this process, in their order."""
    found = []
    for line in (host.read("/proc/self/mountinfo") or "").splitlines():
        place, _, rest = line.partition(" - ")
        left, right = place.split(), rest.split()
        if len(left) < 6 or not right:  # noqa: PLR2004 - the fields that are always there
            continue
        options = {*left[5].split(","), *(right[-1].split(",") if len(right) > 1 else ())}
        # Only the mount's own word says whether it is read-only: the file system may not be.
        if "ro" in left[5].split(","):
            options.discard("rw")
        # Blanks and the like are written in octal; beside them stands UTF-8.
        escaped = left[4].encode().decode("unicode_escape")
        point = escaped.encode("latin-1").decode("utf-8", "replace")
        found.append(Mount(point, left[3], right[0], frozenset(options)))
    return tuple(found)


def mount_above(mounts: tuple[Mount, ...], path: str) -> Mount | None:
    """Give the mount that a path lies on."""
    on = [
        one for one in mounts if path == one.point or path.startswith(one.point.rstrip("/") + "/")
    ]
    # Of several at one place the last one covers the others.
    return max(reversed(on), key=lambda one: len(one.point), default=None)
