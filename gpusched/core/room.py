"""How many bytes of a device can still be promised, by the book and by the card; pure."""

from gpusched.core.attribution import DeviceUse
from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.ledger import Ledger
from gpusched.core.request import Request
from gpusched.core.sample import Memory, Unavailable


def room_on(ledger: Ledger, device: Device, memory: Memory) -> int:
    """Say how many bytes can still be promised on *device*.

    The smaller of what the ledger and what the card says is free: book room is allocatable less
    promised; card room is what the driver calls free, less what is withheld and what leases were
    promised and have not used yet.
    """
    return max(0, margin_on(ledger, device, memory))


def margin_on(ledger: Ledger, device: Device, memory: Memory) -> int:
    """Say the same, less than 0 where more is in use than was promised."""
    book = allocatable(ledger, memory) - ledger.holding(device.memory_domain).promised
    card = memory.free - ledger.policy.withheld - _promised_unused(ledger, device)
    return min(book, card)


def allocatable(ledger: Ledger, memory: Memory) -> int:
    """Give the bytes of a device that may be promised at all."""
    return max(0, memory.total - memory.reserved - ledger.policy.withheld)


def wanted_of(ledger: Ledger, request: Request, memory: Memory) -> int | None:
    """Give the bytes that *request* wants of a device with this memory; None: no size is said."""
    if request.memory_fraction is None:
        return request.memory
    return max(1, int(allocatable(ledger, memory) * request.memory_fraction))


def missing_on(ledger: Ledger, device: DeviceUuid, request: Request) -> int | None:
    """Say how many bytes have to come free for the share of *device* that *request* wants.

    None where all of the device is wanted, or where its memory is not known.
    """
    use = ledger.uses.get(device)
    if request.exclusive or use is None or isinstance(use.reading.memory, Unavailable):
        return None
    memory = use.reading.memory
    wanted = wanted_of(ledger, request, memory)
    return None if wanted is None else wanted - margin_on(ledger, ledger.devices[device], memory)


def _promised_unused(ledger: Ledger, device: Device) -> int:
    unused = 0
    for (lease_id, uuid), share in ledger.holding(device.memory_domain).shares.items():
        use = ledger.uses.get(uuid)
        used = _used(use, lease_id) if use is not None else 0
        unused += max(0, (share.memory or 0) - used)
    return unused


def _used(use: DeviceUse, lease_id: LeaseId) -> int:
    """Bytes a lease surely uses: an unknown figure counts as nothing, so the promise stands."""
    used = use.used_by.get(lease_id, 0)
    return 0 if isinstance(used, Unavailable) else used
