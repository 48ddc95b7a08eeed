"""What must hold of the leases together, whatever happened. Values in, sentences out.

These are the promises of the first kind: no byte and no whole device is promised twice.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.share import Share
from gpusched.core.waiting import Waiting


def faults_of(leases: Iterable[Lease], devices: Mapping[DeviceUuid, Device]) -> Iterator[str]:
    """Name every contradiction among *leases*, and between them and the *devices* that are known.

    A device that is not in *devices* is absent, which contradicts nothing: its lease is kept.
    """
    held: dict[str, list[tuple[Lease, Share]]] = defaultdict(list)
    requests: dict[tuple[int, str], Lease] = {}
    for lease in leases:
        yield from _faults_alone(lease)
        if not lease.live:
            continue
        for share in lease.shares:
            held[share.domain].append((lease, share))
        key = (lease.uid, lease.request.request_id)
        if lease.usable and key in requests:
            yield f"{lease.id} and {requests[key].id} answer one request"
        if lease.usable:
            requests[key] = lease
    sizes = {one.memory_domain: one.memory_total for one in devices.values()}
    for domain, holders in held.items():
        yield from _faults_together(domain, holders, sizes.get(domain))


def faults_of_waiting(
    waiting: Iterable[Waiting], answered: Callable[[Waiting], bool]
) -> Iterator[str]:
    """Name every contradiction among those who wait, and between them and the leases.

    Args:
        waiting: In the order of service.
        answered: Says whether a lease is the answer to the same request.
    """
    before: Waiting | None = None
    for one in waiting:
        if before is not None and before.order >= one.order:
            yield f"{one.request.request_id} of {one.uid} does not wait behind {before.lease_id}"
        if answered(one):
            yield f"{one.request.request_id} of {one.uid} waits and holds a lease"
        before = one


def _faults_alone(lease: Lease) -> Iterator[str]:
    ended, ending = lease.ended is not None, lease.ending is not None
    if ended != (lease.state is LeaseState.ENDED):
        yield f"{lease.id} is {lease.state.value} and its end says otherwise"
    if ending != (lease.state in (LeaseState.RELEASING, LeaseState.ENDED)):
        yield f"{lease.id} is {lease.state.value} and its ending says otherwise"
    if ending != (lease.reason is not None):
        yield f"{lease.id} has an ending without a reason, or a reason without an ending"
    if lease.state is LeaseState.RESERVED and lease.processes:
        yield f"{lease.id} is reserved and has processes"
    if lease.state is LeaseState.ACTIVE and not lease.processes and lease.cgroup is None:
        yield f"{lease.id} is active and has no process"
    if lease.state is LeaseState.RESERVED and lease.cgroup is not None:
        yield f"{lease.id} is reserved and has a cgroup"
    if len({share.device for share in lease.shares}) != len(lease.shares):
        yield f"{lease.id} has two shares of one device"


def _faults_together(
    domain: str, holders: list[tuple[Lease, Share]], size: int | None
) -> Iterator[str]:
    owners = {lease.id for lease, _ in holders}
    if any(share.exclusive for _, share in holders) and len(owners) > 1:
        yield f"{domain} is exclusive and shared by {', '.join(sorted(owners))}"
    promised = sum(share.memory or 0 for _, share in holders)
    if size is not None and promised > size:
        yield f"{domain} has {size} bytes and {promised} are promised"
