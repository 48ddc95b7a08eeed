"""Which pool a device is in, which one it is to be in, and what that means for a request.

A device moves when the leases that it has of its old pool have ended. Every share notes the pool
that its device was in, so a move that is pending is nothing that has to be remembered.
"""

from collections.abc import Iterator

from gpusched.core.device import Device
from gpusched.core.ids import Caller, LeaseId
from gpusched.core.ledger import Ledger
from gpusched.core.pool import DEFAULT_POOL, Pools
from gpusched.core.replies import Obstacle, Refusal, Rejected, Verdict
from gpusched.core.request import Request


def configured(ledger: Ledger, device: Device) -> str:
    """Give the pool that *device* is to be in: its own, else that of the GPU that it is on."""
    pools = ledger.policy.pools
    if not pools.by_uuid and not pools.by_index:
        return DEFAULT_POOL
    own = pools.by_uuid.get(device.uuid)
    gpu = device if device.mig is None else ledger.devices.get(device.mig.parent)
    found = own or pools.by_uuid.get(device.physical)
    if found is None and gpu is not None:
        found = pools.by_index.get(gpu.index)
    return found or DEFAULT_POOL


def pool_of(ledger: Ledger, device: Device) -> str:
    """Give the pool that *device* is in: while leases of another pool live there, still that."""
    pool = configured(ledger, device)
    left = _left(ledger, device, pool)
    return left[0][1] if left else pool


def elsewhere(ledger: Ledger, device: Device, request: Request) -> tuple[Obstacle, str] | None:
    """Say that *device* is, or is about to be, in another pool than *request* names."""
    pool = configured(ledger, device)
    if pool == (request.pool or DEFAULT_POOL):
        return None
    return Obstacle.OTHER_POOL, f"is in pool {pool}"


def moving(ledger: Ledger, device: Device) -> Verdict | None:
    """Say that nothing is granted on *device* until its leases of another pool have ended."""
    pool = configured(ledger, device)
    left = _left(ledger, device, pool)
    if not left:
        return None
    sentence = f"moves from pool {left[0][1]} to pool {pool} when the leases on it have ended"
    leases = tuple(dict.fromkeys(lease for lease, _ in left))
    return Verdict(device.uuid, Obstacle.MOVING, sentence, None, leases)


def barred_from(pools: Pools, caller: Caller, request: Request) -> Rejected | None:
    """Say why *caller* may not have devices of the pool that *request* names."""
    name = request.pool or DEFAULT_POOL
    pool = pools.named.get(name)
    if pool is None:
        sentence = f"pool: there is no pool {name!r}; known: {', '.join(pools.named)}"
        return Rejected(Refusal.BAD_REQUEST, sentence, "pool")
    if pool.admit(caller):
        return None
    sentence = f"pool {name} is for {pool.words}; {_open_to(pools, caller)}"
    return Rejected(Refusal.NOT_ALLOWED, sentence, "pool")


def twice_named(ledger: Ledger) -> Iterator[str]:
    """Warn of each GPU that one pool names by its UUID and another by its index."""
    pools = ledger.policy.pools
    for device in ledger.devices.values():
        if device.mig is not None or not pools.by_index:
            continue
        own, other = pools.by_uuid.get(device.uuid), pools.by_index.get(device.index)
        if own is not None and other is not None and own != other:
            yield (
                f"{device.uuid} is in pool {own}, by its UUID; pool {other} names it by its"
                f" index {device.index}, too"
            )


def _left(ledger: Ledger, device: Device, pool: str) -> list[tuple[LeaseId, str]]:
    """Give the live leases of *device* that are not of *pool*, and the pool they are of."""
    return [
        (lease, share.pool)
        for (lease, uuid), share in ledger.holding(device.memory_domain).shares.items()
        if uuid == device.uuid and share.pool != pool
    ]


def _open_to(pools: Pools, caller: Caller) -> str:
    names = [name for name, pool in pools.named.items() if pool.admit(caller)]
    if not names:
        return "no pool is open to you; ask an administrator"
    return f"open to you: {', '.join(names)}; name one as `pool` (`--pool`)"
