"""The account of a device's memory: every byte is somebody's, or is said not to be known.

    total = driver_reserved + used + free
    used  = leases + strays + infrastructure + ghost + unattributed - overlap

What is used and no listed process has is ghost memory as far as an ended lease left it, and
unattributed else (managed memory, for one). Where the processes' sum is more than what is used,
buffers were counted twice, and the surplus is the overlap.

There is one account for each memory: the compute instances of a GPU instance have one together,
and a partitioned GPU has that of all its instances. Made on demand of the last sample: no tick
pays for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpusched.core.attribution import Attributed, DeviceUse, ProcessKind, of_memory
from gpusched.core.device import Device
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import LostDevice, Memory, Reading, Unavailable

NOT_APART = Unavailable("the driver counts it as used: it has no memory information version 2")
"""Of what the driver keeps, where only version 1 of NVML's memory information answers."""

_FOREIGN = (ProcessKind.STRAY, ProcessKind.UNKNOWN)
_ALL = tuple(ProcessKind)


@dataclass(frozen=True, slots=True)
class Account:
    """Where the memory is, in bytes; no part is ever less than nothing.

    Attributes:
        total: Physical size.
        driver_reserved: What the driver keeps for itself.
        used: What is allocated.
        free: What an allocation could still get.
        leases: Held by processes of leases.
        strays: Held by processes that no lease of the device accounts for.
        unknown: The part of `strays` whose processes could not be identified.
        infrastructure: Held by processes that serve every lease.
        ghost: Stayed behind after a lease, with no process to its name.
        unattributed: Used, and held by no process that is listed.
        overlap: How much the processes' sum exceeds what is used.
        difference: What the driver's own figures leave over: total less the other three. It is 0
            but for a driver whose figures do not add up; less than nothing where they are more.
    """

    total: Reading[int]
    driver_reserved: Reading[int]
    used: Reading[int]
    free: Reading[int]
    leases: Reading[int]
    strays: Reading[int]
    unknown: Reading[int]
    infrastructure: Reading[int]
    ghost: Reading[int]
    unattributed: Reading[int]
    overlap: Reading[int]
    difference: Reading[int]


Rows = Reading[tuple[Attributed, ...]]


def accounts(
    uses: Mapping[DeviceUuid, DeviceUse],
    ghosts: Mapping[DeviceUuid, Ghost],
    lost: Iterable[LostDevice] = (),
) -> dict[DeviceUuid, Account]:
    """Give the account of every device that was read.

    Args:
        uses: What the sample shows.
        ghosts: Memory that ended leases did not give back, by device.
        lost: What gave no handle; a MIG device that did not has processes that nobody listed.
    """
    reasons = {one.index: Unavailable(one.reason) for one in lost if one.uuid is None}
    sharing: dict[str, list[DeviceUse]] = {}
    for use in uses.values():
        device = use.reading.device
        if device.mig is not None:
            sharing.setdefault(device.physical, []).append(use)
        if not device.mig_enabled:
            sharing.setdefault(device.memory_domain, []).append(use)
    made: dict[str, Account] = {}
    for use in uses.values():
        device = use.reading.device
        # The domain of a partitioned GPU is its UUID, and its instances stand under that.
        domain = device.memory_domain
        if domain not in made:
            members = sharing.get(domain, [])
            memory = use.reading.memory if device.mig_enabled else _memory(members)
            rows = _unlisted(device, uses, reasons) or _rows(members)
            uuids = {device.uuid, *(one.reading.device.uuid for one in members)}
            haunted = sum(ghosts[uuid].memory for uuid in uuids if uuid in ghosts)
            made[domain] = account(memory, rows, haunted)
    return {uuid: made[use.reading.device.memory_domain] for uuid, use in uses.items()}


def account(memory: Reading[Memory], rows: Rows, ghost: int) -> Account:
    """Balance what one memory holds with whose it is.

    Args:
        memory: As it was read, or why it was not.
        rows: The processes that allocate from it, or why they are not known.
        ghost: Bytes that ended leases left; part of them may have come back since.
    """
    leases = _held(rows, (ProcessKind.LEASE,))
    strays = _held(rows, _FOREIGN)
    infrastructure = _held(rows, (ProcessKind.INFRASTRUCTURE,))
    used = memory if isinstance(memory, Unavailable) else memory.used
    rest = _rest(used, (leases, strays, infrastructure))
    haunted: Reading[int] = 0
    unattributed, overlap = rest, rest
    if not isinstance(rest, Unavailable):
        haunted = min(ghost, max(0, rest))
        unattributed, overlap = max(0, rest) - haunted, max(0, -rest)
    elif ghost:
        haunted = rest
    return Account(
        *_figures(memory),
        leases=leases,
        strays=strays,
        unknown=_held(rows, (ProcessKind.UNKNOWN,)),
        infrastructure=infrastructure,
        ghost=haunted,
        unattributed=unattributed,
        overlap=overlap,
        difference=_difference(memory),
    )


def unattributed(uses: Mapping[DeviceUuid, DeviceUse], device: DeviceUuid) -> int | None:
    """Give the bytes of a device's memory that are in use and that no listed process has.

    Processes of the compute instances beside it allocate from the same memory. None where
    something of it is not known.
    """
    use = uses.get(device)
    if use is None:
        return None
    memory, rows = use.reading.memory, of_memory(use, uses).processes
    used = memory if isinstance(memory, Unavailable) else memory.used
    rest = _rest(used, (_held(rows, _ALL),))
    return None if isinstance(rest, Unavailable) else max(0, rest)


def _figures(
    memory: Reading[Memory],
) -> tuple[Reading[int], Reading[int], Reading[int], Reading[int]]:
    """Give total, reserved, used and free."""
    if isinstance(memory, Unavailable):
        return memory, memory, memory, memory
    reserved = memory.reserved if memory.reserved_apart else NOT_APART
    return memory.total, reserved, memory.used, memory.free


def _difference(memory: Reading[Memory]) -> Reading[int]:
    if isinstance(memory, Unavailable):
        return memory
    return memory.total - memory.reserved - memory.used - memory.free


def _held(rows: Rows, kinds: tuple[ProcessKind, ...]) -> Reading[int]:
    """Add up what processes of these kinds hold; one without a figure makes the sum unknown."""
    if isinstance(rows, Unavailable):
        return rows
    total = 0
    for one in rows:
        if one.kind in kinds:
            if isinstance(one.context.memory, Unavailable):
                return one.context.memory
            total += one.context.memory
    return total


def _rest(used: Reading[int], parts: Iterable[Reading[int]]) -> Reading[int]:
    """Give what is used beyond the *parts*; less than nothing where they are more."""
    if isinstance(used, Unavailable):
        return used
    for part in parts:
        if isinstance(part, Unavailable):
            return part
        used -= part
    return used


def _memory(members: Iterable[DeviceUse]) -> Reading[Memory]:
    """Give the first reading of a memory that several devices share."""
    found = [one.reading.memory for one in members]
    return next((one for one in found if not isinstance(one, Unavailable)), found[0])


def _rows(members: Iterable[DeviceUse]) -> Rows:
    rows: list[Attributed] = []
    for one in members:
        if isinstance(one.processes, Unavailable):
            return one.processes
        rows += one.processes
    return tuple(rows)


def _unlisted(
    device: Device, uses: Mapping[DeviceUuid, DeviceUse], reasons: Mapping[int, Unavailable]
) -> Unavailable | None:
    """Say why a partitioned GPU has processes that nobody listed; None where it has none."""
    gpu = uses.get(device.physical)
    if gpu is None or not (device.mig_enabled or device.mig is not None):
        return None
    return reasons.get(gpu.reading.device.index)
