"""The unit or container that a process runs in, by the path of its cgroup.

Paths as systemd, Docker, Podman, containerd, CRI-O, Kubernetes, LXC and systemd-nspawn make them.
"""

import re

_ENGINES = "docker|libpod|crio|cri-containerd|nerdctl|buildkit"
_CONTAINERS = (
    re.compile(rf"(?:^|[-/])(?:{_ENGINES})-([0-9a-f]{{12,64}})\.scope"),
    re.compile(r"/docker/([0-9a-f]{12,64})(?:/|$)"),
    re.compile(r"/libpod[-_]([0-9a-f]{12,64})(?:/|$)"),
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
_UNIT = re.compile(r"/([^/]+\.(?:service|scope))(?=/|$)")


def container_in(path: str) -> str:
    """Give the id (its first twelve digits, as engines print it) or name; empty: in none."""
    for pattern in _CONTAINERS:
        found = pattern.search(path)
        if found:
            name = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), found[1])
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
