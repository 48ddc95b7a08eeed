"""Hosts on which requests wait, and short ways to make them."""

from gpusched.core.device import Device
from gpusched.core.ids import SECOND, DeviceUuid, RequestId
from gpusched.core.policy import Policy
from gpusched.core.priority import PriorityClass, QueueRules
from gpusched.core.request import Request
from gpusched.core.rights import ADMINS_ONLY, Rights
from tests.fakes.builders import ADA, BOB, device
from tests.fakes.host import Host

CLASSES = {
    "high": PriorityClass(10),
    "normal": PriorityClass(),
    "admins": PriorityClass(5, rights=ADMINS_ONLY),
    "bobs": PriorityClass(1, rights=Rights(uids=frozenset({BOB.uid}), words="bob")),
    "team": PriorityClass(1, rights=Rights(gids=frozenset({BOB.gid}), words="team")),
}
RULES = QueueRules(classes=CLASSES, ageing=60 * SECOND)


def wish(
    name: str,
    count: int = 1,
    *,
    memory: int | None = None,
    gpu_types: tuple[str, ...] = (),
    devices: tuple[DeviceUuid, ...] = (),
    priority: str | None = None,
) -> Request:
    """A request that waits without limit."""
    return Request(
        RequestId(name),
        count=count,
        memory=memory,
        gpu_types=gpu_types,
        devices=devices,
        priority=priority,
        wait_without_limit=True,
    )


def host_of(*devices: Device) -> Host:
    """A host with the classes of these tests."""
    return Host(*devices, policy=Policy(queue=RULES))


def busy(count: int) -> Host:
    """A host of so many devices, all of them granted to ada as `held-0` and so on."""
    host = host_of(*(device(place) for place in range(count)))
    for place in range(count):
        host.grant(Request(RequestId(f"held-{place}")))
    return host


def let_go(host: Host, name: str) -> None:
    """Release the lease that was the answer to a request of Ada."""
    lease = host.ledger.by_request(ADA.uid, RequestId(name))
    assert lease is not None
    host.release(lease)


def order(host: Host) -> list[str]:
    """The ids of the requests that wait, in the order of service."""
    return [one.request.request_id for one in host.ledger.waiting]
