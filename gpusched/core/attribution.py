"""Which process belongs to which lease, and what that leaves of a device.

Computed once per sample; decisions between two samples read the result. A process that cannot be
identified belongs to nobody, and doubt counts against scheduling on its device.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import reduce
from types import MappingProxyType
from typing import NamedTuple

from gpusched.core.device import shared_domains
from gpusched.core.ids import DeviceUuid, LeaseId, ProcessId
from gpusched.core.lease import Lease
from gpusched.core.sample import (
    ContextReading,
    DeviceReading,
    NodeSample,
    ProcessFacts,
    Reading,
    Unavailable,
    greater,
    plus,
)


class ProcessKind(Enum):
    """On whose account a process uses a device."""

    LEASE = "lease"
    STRAY = "stray"
    INFRASTRUCTURE = "infrastructure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attributed:
    """One process on one device.

    Attributes:
        context: NVML's row.
        facts: What `/proc` says; None where it does not know the pid.
        lease: The lease it belongs to, which need not have a share of this device. An UNKNOWN
            process keeps the lease it was last seen in: NVML lists a process for a while after
            `/proc` has forgotten it.
        kind: STRAY also for a lease's process on a device outside the lease.
    """

    context: ContextReading
    facts: ProcessFacts | None
    lease: LeaseId | None
    kind: ProcessKind


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What a sample shows of one device.

    Attributes:
        reading: NVML's part.
        processes: Everything on it, or why the list could not be read.
        used_by: Bytes per lease, of a process that is listed twice the greater figure;
            `Unavailable` where one of its processes has none.
        domain: All that allocates from its memory, itself included; empty: nothing else does.
    """

    reading: DeviceReading
    processes: Reading[tuple[Attributed, ...]]
    used_by: Mapping[LeaseId, Reading[int]] = field(default_factory=dict)
    domain: tuple[DeviceUuid, ...] = ()

    @property
    def strangers(self) -> tuple[Attributed, ...]:
        """Processes that no lease of this device accounts for, infrastructure left out."""
        if isinstance(self.processes, Unavailable):
            return ()
        foreign = (ProcessKind.STRAY, ProcessKind.UNKNOWN)
        return tuple(one for one in self.processes if one.kind in foreign)


def beside(use: DeviceUse, uses: Mapping[DeviceUuid, DeviceUse]) -> tuple[DeviceUse, ...]:
    """Give all that allocates from the memory of a device, itself included.

    Compute instances of one GPU instance share its memory.
    """
    if not use.domain:
        return (use,)
    return tuple(uses[one] for one in use.domain)


def of_memory(use: DeviceUse, uses: Mapping[DeviceUuid, DeviceUse]) -> DeviceUse:
    """Give the use of a device with the processes of all that allocate from its memory.

    No processes are known where those of one of them are not.
    """
    if not use.domain:
        return use
    rows: list[Attributed] = []
    for one in beside(use, uses):
        if isinstance(one.processes, Unavailable):
            return replace(use, processes=one.processes)
        rows += one.processes
    return replace(use, processes=tuple(rows))


def attribute(
    sample: NodeSample,
    leases: Iterable[Lease],
    infrastructure: Iterable[str],
    before: Mapping[DeviceUuid, DeviceUse] = MappingProxyType({}),
) -> dict[DeviceUuid, DeviceUse]:
    """Tie every process of *sample* to one of the live *leases*, or to none.

    Args:
        sample: What was read.
        leases: Those that hold shares.
        infrastructure: Program names that serve every lease.
        before: What the sample before showed.
    """
    if isinstance(sample.reading, Unavailable):
        return {}
    live = {lease.id: lease for lease in leases}
    known = _Known(
        live,
        _owners(sample, live),
        _places(live.values()),
        # comm is cut at 15 bytes by the kernel, so a configured name is compared in that length.
        frozenset(name[:15] for name in infrastructure),
        _last_seen(before, live),
        shared_domains(one.device for one in sample.reading.devices),
    )
    return {one.device.uuid: _use(one, sample, known) for one in sample.reading.devices}


def held_by(
    lease: LeaseId, device: DeviceUuid, uses: Mapping[DeviceUuid, DeviceUse]
) -> int | None:
    """Give the bytes that a lease's processes hold of a device; None where that is not known."""
    use = uses.get(device)
    if use is None or isinstance(use.processes, Unavailable):
        return None
    used = use.used_by.get(lease, 0)
    return None if isinstance(used, Unavailable) else used


class _Known(NamedTuple):
    """What the processes of a sample are told by.

    Attributes:
        live: The leases that hold shares.
        owners: Those that a process is known to be in.
        places: Those that have a cgroup, by its path.
        infrastructure: Names of programs as the kernel keeps them.
        gone: The lease that a pid was last seen in.
        domains: The devices that allocate from one memory, by its name; only where several do.
    """

    live: Mapping[LeaseId, Lease]
    owners: Mapping[ProcessId, tuple[LeaseId, ...]]
    places: Mapping[str, tuple[LeaseId, ...]]
    infrastructure: frozenset[str]
    gone: Mapping[int, LeaseId]
    domains: Mapping[str, tuple[DeviceUuid, ...]]


def unidentified(
    device: DeviceUuid,
    uses: Mapping[DeviceUuid, DeviceUse],
    *,
    lease: LeaseId | None = None,
) -> frozenset[int]:
    """Give the pids on a device that `/proc` did not know; of a *lease*, those last seen in it."""
    use = uses.get(device)
    rows = () if use is None or isinstance(use.processes, Unavailable) else use.processes
    return frozenset(
        one.context.pid
        for one in rows
        if one.facts is None and (lease is None or one.lease == lease)
    )


def _places(leases: Iterable[Lease]) -> dict[str, tuple[LeaseId, ...]]:
    places: dict[str, tuple[LeaseId, ...]] = {}
    for lease in leases:
        if lease.cgroup is not None:
            path = lease.cgroup.path
            places[path] = (*places.get(path, ()), lease.id)
    return places


def _owners(
    sample: NodeSample, live: Mapping[LeaseId, Lease]
) -> dict[ProcessId, tuple[LeaseId, ...]]:
    """Say which leases a process is in; one process may have several in one cgroup."""
    owners: dict[ProcessId, tuple[LeaseId, ...]] = {}
    for lease in live.values():
        members = set(sample.members.get(lease.id, ()))
        if lease.cgroup is None:
            # What was attached since the look. With a cgroup only being in it counts.
            members.update(lease.processes)
        for process in members:
            owners[process] = (*owners.get(process, ()), lease.id)
    return owners


def _last_seen(
    before: Mapping[DeviceUuid, DeviceUse], live: Mapping[LeaseId, Lease]
) -> dict[int, LeaseId]:
    """Say which pids belonged to a lease that is still live, by attachment or when last seen."""
    seen = {process.pid: lease.id for lease in live.values() for process in lease.processes}
    for use in before.values():
        rows = () if isinstance(use.processes, Unavailable) else use.processes
        seen |= {
            one.context.pid: one.lease
            for one in rows
            if one.lease is not None and one.lease in live
        }
    return seen


def _use(
    reading: DeviceReading,
    sample: NodeSample,
    known: _Known,
) -> DeviceUse:
    domain = known.domains.get(reading.device.memory_domain, ())
    if isinstance(reading.contexts, Unavailable):
        return DeviceUse(reading, reading.contexts, domain=domain)
    device = reading.device.uuid
    rows: list[Attributed] = []
    held: dict[LeaseId, dict[int, Reading[int]]] = {}
    for context in reading.contexts:
        facts = sample.processes.get(context.pid)
        if facts is None:
            lease = known.gone.get(context.pid)
        else:
            lease = _of_device(_leases_of(facts, known), known.live, device)
        kind = _kind(facts, lease, device, known)
        rows.append(Attributed(context, facts, lease, kind))
        if kind is ProcessKind.LEASE and lease is not None:
            # A driver that lists one twice says the same twice (it compares pids of namespaces).
            mine = held.setdefault(lease, {})
            mine[context.pid] = greater(mine.get(context.pid, 0), context.memory)
    used = {lease: reduce(plus, mine.values()) for lease, mine in held.items()}
    return DeviceUse(reading, tuple(rows), used, domain)


def _leases_of(
    facts: ProcessFacts,
    known: _Known,
) -> tuple[LeaseId, ...]:
    """Find the leases: by the cgroup; without one by descent, or by its own word with its uid."""
    live, owners = known.live, known.owners
    inside = _around(facts.cgroup, known.places)
    if inside or facts.identity in owners:
        return tuple(dict.fromkeys((*owners.get(facts.identity, ()), *inside)))
    for process in facts.ancestors:
        loose = [one for one in owners.get(process, ()) if live[one].cgroup is None]
        if loose:
            return tuple(loose)
    claimed = live.get(facts.claims_lease) if facts.claims_lease is not None else None
    believed = claimed is not None and claimed.uid == facts.uid and claimed.cgroup is None
    return (claimed.id,) if claimed is not None and believed else ()


def _around(path: str, places: Mapping[str, tuple[LeaseId, ...]]) -> list[LeaseId]:
    """Give the leases whose cgroup is *path* or encloses it, the nearest first."""
    found: list[LeaseId] = []
    while path and places:
        found += places.get(path, ())
        path = path.rpartition("/")[0]
    return found


def _of_device(
    leases: tuple[LeaseId, ...], live: Mapping[LeaseId, Lease], device: DeviceUuid
) -> LeaseId | None:
    """Choose the lease that has *device*, or any where none has."""
    for one in leases:
        if any(share.device == device for share in live[one].shares):
            return one
    return leases[0] if leases else None


def _kind(
    facts: ProcessFacts | None,
    lease: LeaseId | None,
    device: DeviceUuid,
    known: _Known,
) -> ProcessKind:
    if facts is None:
        return ProcessKind.UNKNOWN
    if lease is not None and any(share.device == device for share in known.live[lease].shares):
        return ProcessKind.LEASE
    if facts.name in known.infrastructure:
        return ProcessKind.INFRASTRUCTURE
    return ProcessKind.STRAY
