"""Hosts whose leases are of classes of which some give way, and who was told to."""

from gpusched.core.ids import SECOND, RequestId
from gpusched.core.lease import Lease
from gpusched.core.policy import Policy
from gpusched.core.priority import PriorityClass, QueueRules
from gpusched.core.request import Request
from tests.fakes.builders import device
from tests.fakes.host import Host

NOTICE = 20
CLASSES = {
    "high": PriorityClass(10),
    "normal": PriorityClass(),
    "firm": PriorityClass(-10),
    "low": PriorityClass(-10, preemptible=True),
    "lowest": PriorityClass(-20, preemptible=True),
}
RULES = QueueRules(classes=CLASSES, notice=NOTICE * SECOND)
ONE, TWO, THREE = (device(place) for place in range(3))


def hosting(*classes: str | None, rules: QueueRules = RULES) -> tuple[Host, list[Lease]]:
    """A host of as many devices, each granted to a lease of a class, the first one oldest."""
    host = Host(*(device(place) for place in range(len(classes))), policy=Policy(queue=rules))
    leases = []
    for place, priority in enumerate(classes):
        host.later(1)
        leases.append(host.grant(Request(RequestId(f"held-{place}"), priority=priority)))
    host.tick()
    return host, leases


def giving_way(host: Host) -> list[str]:
    """The requests whose leases were told that they end."""
    return [one.request.request_id for one in host.ledger.live() if one.giving_way]
