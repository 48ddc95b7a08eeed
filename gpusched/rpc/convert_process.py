"""The process table on the wire, with the columns and the order of nvidia-smi."""

from collections.abc import Iterator

from gpusched.api.v1 import process_pb2
from gpusched.core.attribution import Attributed, ProcessKind
from gpusched.core.cgroup_name import container_in, unit_in
from gpusched.core.device import Device
from gpusched.core.ids import Instant
from gpusched.core.ledger import Ledger
from gpusched.core.sample import ContextKind, Reading, Unavailable
from gpusched.core.sight import Sight
from gpusched.rpc.call import Call, Users
from gpusched.rpc.convert_device import gpu_index, in_order, trouble
from gpusched.rpc.convert_reading import (
    NOT_SHOWN,
    OF_ANOTHER,
    bytes_of,
    process_of,
    text_of,
)

KINDS: dict[ProcessKind, process_pb2.ProcessKind.ValueType] = {
    ProcessKind.LEASE: process_pb2.PROCESS_KIND_LEASE,
    ProcessKind.STRAY: process_pb2.PROCESS_KIND_STRAY,
    ProcessKind.INFRASTRUCTURE: process_pb2.PROCESS_KIND_INFRASTRUCTURE,
    ProcessKind.UNKNOWN: process_pb2.PROCESS_KIND_UNKNOWN,
}

_NOT_IN_PROC = Unavailable("the process is not in /proc")


def rows_of(ledger: Ledger, call: Call, users: Users) -> list[process_pb2.Process]:
    """Give every process on every device as the caller may see it, in nvidia-smi's order."""
    rows = [
        _row(one, use.reading.device, ledger, call, users)
        for use in ledger.uses.values()
        if not isinstance(use.processes, Unavailable)
        for one in use.processes
        if _sight_of(one, ledger, call).device
    ]
    return sorted(rows, key=_order)


def unreadable_of(ledger: Ledger, now: Instant) -> list[process_pb2.UnreadableProcessList]:
    """Give the devices whose process list could not be read."""
    rows = list(_unreadable(ledger, now))
    sample = ledger.sample
    if sample is not None and not isinstance(sample.reading, Unavailable):
        rows += [
            process_pb2.UnreadableProcessList(gpu_index=one.index, reason=one.reason)
            for one in sample.reading.lost
            if one.uuid is None
        ]
    return rows


def _unreadable(ledger: Ledger, now: Instant) -> Iterator[process_pb2.UnreadableProcessList]:
    for device in in_order(ledger):
        use = ledger.uses.get(device.uuid)
        if use is None:
            reason, _ = trouble(device, ledger, now)
        elif isinstance(use.processes, Unavailable) and not device.mig_enabled:
            reason = use.processes.reason
        else:
            continue
        yield process_pb2.UnreadableProcessList(
            device_uuid=device.uuid, gpu_index=gpu_index(device, ledger), reason=reason
        )


def _row(
    one: Attributed, device: Device, ledger: Ledger, call: Call, users: Users
) -> process_pb2.Process:
    context, facts, seen = one.context, one.facts, _sight_of(one, ledger, call)
    identity = process_pb2.ProcessIdentity(pid=context.pid)
    if facts is not None:
        identity = process_of(facts.identity)
    mig = device.mig
    return process_pb2.Process(
        device_uuid=device.uuid,
        gpu_index=gpu_index(device, ledger),
        gpu_instance=context.gpu_instance if mig is None else mig.gpu_instance,
        compute_instance=context.compute_instance if mig is None else mig.compute_instance,
        process=identity,
        compute=ContextKind.COMPUTE in context.kind,
        graphics=ContextKind.GRAPHICS in context.kind,
        mps=ContextKind.MPS in context.kind,
        type=context.kind.label(),
        name=text_of(_name(one, seen)),
        command=text_of(_command(one, seen)),
        uid=facts.uid if facts is not None and seen.uid else None,
        user=users.name(facts.uid) if facts is not None and seen.uid else "",
        memory=bytes_of(context.memory if seen.memory else OF_ANOTHER),
        peak_memory=bytes_of(_peak(one, device, ledger) if seen.memory else OF_ANOTHER),
        unit=unit_in(facts.cgroup) if facts is not None and seen.command else "",
        container=container_in(facts.cgroup) if facts is not None and seen.command else "",
        kind=KINDS[one.kind],
        lease_id=one.lease or "",
        outside_mask=one.lease is not None and one.kind is ProcessKind.STRAY,
    )


def _sight_of(one: Attributed, ledger: Ledger, call: Call) -> Sight:
    """Say what the caller may see of a process; one of nobody known is as another's."""
    uid = None if one.facts is None else one.facts.uid
    return call.sight_of(uid, ledger.policy.others)


def _name(one: Attributed, seen: Sight) -> Reading[str]:
    """Give NVML's name, or the kernel's where NVML gives none.

    NVML's is a path, or whatever else the program put into the first word of its command line:
    without a sight of that it is the kernel's, which every `ps` shows.
    """
    if one.facts is None:
        return one.context.name if seen.command else _NOT_IN_PROC
    if seen.command and not isinstance(one.context.name, Unavailable):
        return one.context.name
    return one.facts.name


def _peak(one: Attributed, device: Device, ledger: Ledger) -> Reading[int]:
    if one.facts is None:
        return _NOT_IN_PROC
    peaks = ledger.peaks.processes.get(device.uuid, {})
    return peaks.get(one.facts.identity, NOT_SHOWN)


def _command(one: Attributed, seen: Sight) -> Reading[str]:
    if one.facts is None:
        return _NOT_IN_PROC
    return one.facts.command if seen.command else OF_ANOTHER


def _order(row: process_pb2.Process) -> tuple[int, int, int, int]:
    return row.gpu_index, row.gpu_instance, row.compute_instance, row.process.pid
