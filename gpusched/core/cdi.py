"""The lease as container engines see it: a document of the Container Device Interface (CDI).

A user types `--device gpusched.io/lease=<id>`; the engine then gives the container the leased
nodes and no others, and its runtime calls a hook that puts the container's cgroup under the lease.
Values only: where documents lie is `adapters/cdi`, when they are written `daemon/containers`.
Source: CDI's SPEC.md (versions 0.3.0 to 1.1.0) and schema; an engine that does not know a field or
a version takes the whole file for unusable, so that the version is the lowest that will do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gpusched.core.device import Device, DeviceNode
from gpusched.core.ids import LeaseId
from gpusched.core.kit import kit_inside
from gpusched.core.lease import Lease

KIND: Final = "gpusched.io/lease"
DRIVER_KIND: Final = "nvidia.com/gpu"
"""The kind that NVIDIA's own documents have (`nvidia-ctk cdi generate`)."""

# Versions of engines, from their release notes: `docker run --gpus` came with 19.03, CDI with 25.0
# behind a switch that is on by itself from 28.2; Podman has CDI since 4.1.
DOCKER_WITH_GPUS: Final = (19, 3)
DOCKER_WITH_CDI: Final = (25, 0)
DOCKER_WITH_CDI_ON: Final = (28, 2)
PODMAN_WITH_CDI: Final = (4, 1)
DOCKER_SWITCH: Final = '{"features": {"cdi": true}}'
"""What switches CDI on, in /etc/docker/daemon.json."""

HOOK_SECONDS: Final = 30
"""How long the container's start may wait for the daemon."""

_VERSION: Final = (0, 5, 0)
_NODE_FOLDER: Final = "/dev/"

Fields: TypeAlias = Mapping[str, object]
"""A JSON object."""

# What is copied of somebody else's edits; each is in version 0.5.0. A field that is not listed
# might need a version that the document does not have, and would make it unusable; so would one
# of another type.
_KNOWN: Final[Mapping[str, Mapping[str, type]]] = {
    "deviceNodes": {
        **dict.fromkeys(("path", "hostPath", "type", "permissions"), str),
        **dict.fromkeys(("major", "minor", "fileMode", "uid", "gid"), int),
    },
    "mounts": {"hostPath": str, "containerPath": str, "options": list, "type": str},
    "hooks": {"hookName": str, "path": str, "args": list, "env": list, "timeout": int},
}
_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "deviceNodes": frozenset({"path"}),
    "mounts": frozenset({"hostPath", "containerPath"}),
    "hooks": frozenset({"hookName", "path"}),
}
_GROUPS: Final = "additionalGids"
_GROUPS_SINCE: Final = (0, 7, 0)


@dataclass(frozen=True, slots=True)
class Host:
    """What a document needs of the host, beside the lease and its devices.

    Attributes:
        socket: Where the daemon listens.
        hook: The command that attaches a container, first its absolute path; the lease and the
            socket are put behind it.
        driver: NVIDIA's own document, which names the driver's files; empty where there is none.
    """

    socket: str
    hook: tuple[str, ...]
    driver: Fields = field(default_factory=dict)


@dataclass(slots=True)
class _Edits:
    """What is done to a container, gathered from several sources; the first one of a path wins."""

    nodes: dict[str, Fields] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    mounts: dict[tuple[str, str], Fields] = field(default_factory=dict)
    hooks: list[Fields] = field(default_factory=list)
    groups: dict[int, None] = field(default_factory=dict)


def name_of(lease: LeaseId) -> str:
    """Give the name that a container engine knows the lease by, as it is typed."""
    return f"{KIND}={lease}"


def document_of(
    lease: Lease,
    inventory: Sequence[Device],
    control: Iterable[DeviceNode],
    host: Host,
) -> Fields:
    """Make the document of *lease*.

    Args:
        lease: Whose; all its devices are in the inventory.
        inventory: All devices that answer now, with the nodes of each.
        control: Nodes that every holder of a device opens beside its own.
        host: Where the daemon is, and what the driver needs.

    Returns:
        A JSON object with one device, named by the lease.
    """
    shares = {share.device for share in lease.shares}
    leased = [one for one in inventory if one.uuid in shares]
    foreign = _paths(inventory) - _paths(leased)
    edits = _Edits()
    own = [node for one in leased for node in one.nodes]
    for node in (*own, *(control if leased else ())):
        edits.nodes.setdefault(node.path, _node(node))
    if leased:
        _take_driver(edits, host.driver, leased, foreign)
    edits.environment |= _environment(lease, inventory, host.socket)
    edits.hooks.append(_hook(lease.id, host))
    version = _GROUPS_SINCE if edits.groups else _VERSION
    return {
        "cdiVersion": ".".join(map(str, version)),
        "kind": KIND,
        "devices": [{"name": lease.id, "containerEdits": _written(edits)}],
    }


def inside(path: str) -> str:
    """Give the path that a node of the host has in a container; simulated ones lie elsewhere."""
    _, found, name = path.rpartition(_NODE_FOLDER)
    return _NODE_FOLDER + name if found else path


def _paths(devices: Iterable[Device]) -> set[str]:
    return {node.path for one in devices for node in (*one.nodes, *one.dri_nodes)}


def _node(node: DeviceNode) -> Fields:
    # No numbers: the engine reads them when the container starts, and the driver may have changed
    # them (nvidia-uvm's major) by then.
    path = inside(node.path)
    elsewhere = {} if path == node.path else {"hostPath": node.path}
    return {"path": path, **elsewhere, "permissions": "rw"}


def _environment(lease: Lease, inventory: Iterable[Device], socket: str) -> dict[str, str]:
    kit = kit_inside(lease, inventory, socket)
    # NVIDIA's legacy runtime would inject what this names, every GPU where an image has `all`.
    return {**kit.environment, "NVIDIA_VISIBLE_DEVICES": "void"}


def _hook(lease: LeaseId, host: Host) -> Fields:
    words = [*host.hook, "--lease", lease, "--socket", host.socket]
    # createRuntime: the container's first process is in its cgroup, and nothing of it runs yet.
    return {
        "hookName": "createRuntime",
        "path": host.hook[0],
        "args": words,
        "timeout": HOOK_SECONDS,
    }


def _take_driver(
    edits: _Edits, document: Fields, leased: Sequence[Device], foreign: set[str]
) -> None:
    """Take what a document of NVIDIA's says of all devices, and of the leased ones."""
    _take(edits, _part(document, "containerEdits"), foreign)
    entries = {str(one.get("name")): one for one in _parts(document, "devices")}
    for device in leased:
        found = next((entries[name] for name in _names(device) if name in entries), None)
        own = _part(found or {}, "containerEdits")
        # A document that is older than the last reboot may mean another GPU by this index.
        paths = {str(one.get("path")) for one in _parts(own, "deviceNodes")}
        if paths & {node.path for node in device.nodes}:
            _take(edits, own, foreign)


def _names(device: Device) -> tuple[str, ...]:
    """Give the names that `nvidia-ctk` may have for a device; of an instance its UUID only."""
    if device.mig is not None:
        return (device.uuid,)
    return (device.uuid, str(device.index), f"gpu{device.index}")


def _take(edits: _Edits, found: Fields, foreign: set[str]) -> None:
    for word in _texts(found, "env"):
        name, _, value = word.partition("=")
        if name:
            edits.environment.setdefault(name, value)
    for one in _known(found, "deviceNodes"):
        path = str(one["path"])
        if not {path, str(one.get("hostPath", path))} & foreign:
            edits.nodes.setdefault(path, one)
    for one in _known(found, "mounts"):
        edits.mounts.setdefault((str(one["hostPath"]), str(one["containerPath"])), one)
    for one in _known(found, "hooks"):
        if one not in edits.hooks:
            edits.hooks.append(one)
    edits.groups |= dict.fromkeys(_numbers(found, _GROUPS))


def _known(found: Fields, kind: str) -> list[Fields]:
    """Take the parts of a kind, each as far as it is known; one that is broken stays out."""
    kinds = _KNOWN[kind]
    known = [
        {name: value for name, value in one.items() if name in kinds}
        for one in _parts(found, kind)
    ]
    return [
        one
        for one in known
        if _NEEDED[kind] <= one.keys()
        and all(_fits(value, kinds[name]) for name, value in one.items())
    ]


def _fits(value: object, kind: type) -> bool:
    # A truth value is no number here.
    if type(value) is not kind:
        return False
    return not isinstance(value, list) or all(isinstance(one, str) for one in value)


def _written(edits: _Edits) -> Fields:
    parts: dict[str, object] = {
        "env": [f"{name}={value}" for name, value in edits.environment.items()],
        "deviceNodes": list(edits.nodes.values()),
        "mounts": list(edits.mounts.values()),
        "hooks": edits.hooks,
        _GROUPS: list(edits.groups),
    }
    return {name: part for name, part in parts.items() if part}


def _part(found: Fields, name: str) -> Fields:
    part = found.get(name)
    return part if isinstance(part, dict) else {}


def _parts(found: Fields, name: str) -> list[Fields]:
    parts = found.get(name)
    return [one for one in parts if isinstance(one, dict)] if isinstance(parts, list) else []


def _texts(found: Fields, name: str) -> list[str]:
    parts = found.get(name)
    return [one for one in parts if isinstance(one, str)] if isinstance(parts, list) else []


def _numbers(found: Fields, name: str) -> list[int]:
    parts = found.get(name)
    return [one for one in parts if _fits(one, int)] if isinstance(parts, list) else []
