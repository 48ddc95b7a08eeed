"""Where the memory of a device is: an account of each memory domain that balances to the byte.

A domain is a GPU, or a MIG GPU instance, whose compute instances allocate from one memory: they
have one account. What could not be read makes the parts that depend on it unknown, never 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpusched.core.attribution import Attributed, DeviceUse, ProcessKind
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import Memory, Reading, Unavailable

NOT_READ = Unavailable("not read in the last sample")


@dataclass(frozen=True, slots=True)
class Account:
    """The memory of a domain in bytes, each part a figure or why there is none.

    total = used + driver_reserved + free, as the driver gives them; and
    used = leases + strays + infrastructure + ghost + unattributed - overlap.

    Attributes:
        leases: Held by processes of leases.
        strays: Held by processes without a lease for the device; those that could not be
            identified are counted here.
        infrastructure: Held by processes that serve every lease.
        ghost: Left by an ended lease, with no process to its name.
        unattributed: In use, and of no process that the driver lists: managed memory, say.
        overlap: By how much the processes' sum exceeds what is in use: buffers counted twice.
    """

    leases: Reading[int]
    strays: Reading[int]
    infrastructure: Reading[int]
    ghost: Reading[int]
    unattributed: Reading[int]
    overlap: Reading[int]


def account_of(memory: Reading[Memory], uses: Sequence[DeviceUse], ghost: int) -> Account:
    """Draw up the account of a domain.

    Args:
        memory: Of the domain.
        uses: All devices that allocate from it.
        ghost: Bytes that were found left behind.
    """
    rows = _rows(uses)
    leases = _sum(rows, {ProcessKind.LEASE})
    strays = _sum(rows, {ProcessKind.STRAY, ProcessKind.UNKNOWN})
    infrastructure = _sum(rows, {ProcessKind.INFRASTRUCTURE})
    rest = _less(memory, (leases, strays, infrastructure))
    if isinstance(rest, Unavailable):
        # What was left behind is a part of what is not known now.
        return Account(leases, strays, infrastructure, rest if ghost else 0, rest, rest)
    left = max(0, rest)
    # Part of it may have come back since it was found.
    haunted = min(ghost, left)
    return Account(leases, strays, infrastructure, haunted, left - haunted, max(0, -rest))


def in_domain(uses: Iterable[DeviceUse], domain: str) -> tuple[DeviceUse, ...]:
    """Give the devices that allocate from one memory."""
    return tuple(one for one in uses if one.reading.device.memory_domain == domain)


def on_gpu(uses: Iterable[DeviceUse], gpu: DeviceUuid) -> tuple[DeviceUse, ...]:
    """Give the MIG instances of a partitioned GPU: its account is made of theirs."""
    found = ((one, one.reading.device.mig) for one in uses)
    return tuple(one for one, mig in found if mig is not None and mig.parent == gpu)


def unattributed(uses: Mapping[DeviceUuid, DeviceUse], device: DeviceUuid) -> int | None:
    """Give the bytes of a device's memory that no process has; None where that is not known."""
    use = uses.get(device)
    if use is None:
        return None
    several = in_domain(uses.values(), use.reading.device.memory_domain)
    rest = _less(use.reading.memory, (_sum(_rows(several), set(ProcessKind)),))
    return None if isinstance(rest, Unavailable) else max(0, rest)


def _rows(uses: Sequence[DeviceUse]) -> Reading[tuple[Attributed, ...]]:
    rows: list[Attributed] = []
    for use in uses:
        if isinstance(use.processes, Unavailable):
            return use.processes
        rows += use.processes
    return tuple(rows) if uses else NOT_READ


def _sum(rows: Reading[tuple[Attributed, ...]], kinds: set[ProcessKind]) -> Reading[int]:
    if isinstance(rows, Unavailable):
        return rows
    total = 0
    for one in rows:
        if one.kind in kinds:
            if isinstance(one.context.memory, Unavailable):
                return one.context.memory
            total += one.context.memory
    return total


def _less(memory: Reading[Memory], parts: Iterable[Reading[int]]) -> Reading[int]:
    """Take the *parts* off what is used; unknown with any of them."""
    if isinstance(memory, Unavailable):
        return memory
    rest = memory.used
    for part in parts:
        if isinstance(part, Unavailable):
            return part
        rest -= part
    return rest
