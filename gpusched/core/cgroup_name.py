"""The unit or container that a process runs in, by the path of its cgroup.

Paths as systemd, Docker, Podman, containerd, CRI-O, Kubernetes, LXC and systemd-nspawn make them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ENGINES = "docker|libpod|crio|cri-containerd|nerdctl|buildkit"
_CONTAINERS = (
    re.compile(rf"(?:^|[-/])(?:{_ENGINES})-([0-9a-f]{{12,64}})\.scope"),
    re.compile(r"/docker/([0-9a-f]{12,64})(?:/|$)"),
    # With `payload` below a unit of its own, as Podman's Quadlet and `--cgroups=split` do.
    re.compile(r"/libpod[-_](?:payload-)?([0-9a-f]{12,64})(?:/|$)"),
    # As runc names it where the engine and it are of two minds about who makes cgroups.
    re.compile(rf":(?:{_ENGINES}):([0-9a-f]{{12,64}})(?:/|$)"),
    # A bare id: in /kubepods, and below any parent that an engine was told to use.
    re.compile(r"/([0-9a-f]{64})(?:/|$)"),
    re.compile(r"/lxc(?:\.payload\.|\.payload/|/)([^/]+)"),
    re.compile(r"/machine\.slice/(?:systemd-nspawn@|machine-)([^/]+?)\.(?:service|scope)"),
)
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_ID = re.compile(r"[0-9a-f]{12,64}")
_SHORT = 12
_MANAGER = re.compile(r"/user@([0-9]+)\.service(?=/|$)")
_UNIT = re.compile(r"/([^/]+\.(?:service|scope))(?=/|$)")


@dataclass(frozen=True, slots=True)
class Container:
    """A container by its own cgroup.

    Attributes:
        name: Its whole id, or the name that an engine without ids gives.
        cgroup: The path of its own cgroup; what it makes lies below.
    """

    name: str
    cgroup: str


def container_of(path: str) -> Container | None:
    """Give the innermost container that a cgroup is of, or lies in; None: in none."""
    found = [one for pattern in _CONTAINERS for one in pattern.finditer(path)]
    if not found:
        return None
    last = max(found, key=lambda one: one.end(1))
    return Container(_plain(last[1]), path[: _end(path, last.end(1))])


def containers_named(text: str, paths: Iterable[str], uid: int) -> tuple[Container, ...]:
    """Give the containers of that name, or whose id is *text* or begins so, each once.

    Below a user's own manager he can call a scope what he likes, such as another's container:
    what is there is a container for leases of his alone.

    Args:
        text: The name, the id, or the beginning of it.
        paths: Of all cgroups.
        uid: Whose lease it is for.
    """
    seen = (path for path in paths if _manager(path) in (None, uid))
    every = {one for path in seen if (one := container_of(path)) is not None}
    same = [one for one in every if one.name == text]
    alike = [
        one for one in every if _ID.fullmatch(one.name) and text and one.name.startswith(text)
    ]
    return tuple(sorted(same or alike, key=lambda one: one.cgroup))


def _manager(path: str) -> int | None:
    """Give the user below whose own manager a cgroup is; None: it is the system's."""
    found = _MANAGER.search(path)
    return int(found[1]) if found else None


def _plain(name: str) -> str:
    return _ESCAPED.sub(lambda code: chr(int(code[1], 16)), name)


def _end(path: str, place: int) -> int:
    """Give the end of the part of *path* that *place* is in."""
    slash = path.find("/", place)
    return len(path) if slash < 0 else slash


def container_in(path: str) -> str:
    """Give the id (its first twelve digits, as engines print it) or name; empty: in none."""
    for pattern in _CONTAINERS:
        found = pattern.search(path)
        if found:
            name = _plain(found[1])
            return name[:_SHORT] if _ID.fullmatch(name) else name
    return ""


def unit_in(path: str) -> str:
    """Give the innermost unit; empty where there is none, and of a session or a container.

    A user's own service is named, and not the manager that started it.
    """
    if container_in(path):
        return ""
    found = _UNIT.findall(path)
    unit = found[-1] if found else ""
    return "" if unit.startswith(("session-", "init.")) else unit
