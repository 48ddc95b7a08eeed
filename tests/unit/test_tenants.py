"""Whose a device is, as a verdict says it."""

from dataclasses import replace

from gpusched.core.changes import IdleSeen, LeaseChanged
from gpusched.core.idleness import Idle, IdleKind
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import LeaseState
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sight import Sight
from gpusched.core.sizes import GIB
from gpusched.core.tenants import ago, held, lasting, lost, settling
from tests.fakes.builders import ADA, BOB, A, device, lease, moment, share
from tests.fakes.host import Host, name
from tests.fakes.marked_host import MarkedHost
from tests.fakes.marked_host import lost as gone

GPU = device(0)


def test_a_lease_says_whose_it_is_and_since_when() -> None:
    """From a second on; a user without a name is told by uid, and none where that is not shown."""
    host = Host(GPU)
    one = host.grant(Request(A), BOB)
    assert held(host.ledger, [one.id], host.now.instant) == f"held by {one.id} of user1001"
    later = host.later(3725).instant
    assert held(host.ledger, [one.id], later) == f"held by {one.id} of user1001 for 1h2m"
    host.apply([LeaseChanged(replace(one, user=""))])
    assert held(host.ledger, [one.id], later) == f"held by {one.id} of uid 1001 for 1h2m"
    host.ledger.policy = Policy(others=Sight(uid=False, device=True, memory=True, command=True))
    assert held(host.ledger, [one.id], later) == f"held by {one.id} for 1h2m"
    host.ledger.policy = Policy(others=Sight(uid=True, device=False, memory=True, command=True))
    assert held(host.ledger, [one.id], later) == "held"


def test_a_lease_that_does_not_use_its_device_says_so() -> None:
    """From a minute on: who waits for it wants to know; of one that ends it does not matter."""
    host = Host(GPU)
    one = host.grant(Request(A), BOB)
    host.apply([IdleSeen({one.id: Idle(IdleKind.NO_PROCESS, host.now)})])
    host.later(59)
    said = f"held by {one.id} of user1001"
    assert held(host.ledger, [one.id], host.now.instant) == f"{said} for 59s"
    host.later(1)
    assert held(host.ledger, [one.id], host.now.instant) == f"{said} for 1m (idle for 1m)"
    over = lease(LeaseState.RELEASING, share(device(1)), name="2")
    host.apply([LeaseChanged(over), IdleSeen({over.id: Idle(IdleKind.NO_PROCESS, moment(0))})])
    assert (
        held(host.ledger, [over.id], moment(910).instant) == "held by lease-2 of user1000 for 10s"
    )


def test_a_lease_with_a_time_limit_says_how_long_it_may_take() -> None:
    """Who waits for it knows when it ends at the latest."""
    host = Host(GPU)
    one = host.grant(Request(A, time_limit=3600 * SECOND), BOB)
    later = host.later(600).instant
    said = f"held by {one.id} of user1001 for 10m"
    assert held(host.ledger, [one.id], later) == f"{said} (at most 50m more)"
    idle = Idle(IdleKind.NO_PROCESS, moment(1000))
    host.apply([IdleSeen({one.id: idle})])
    assert held(host.ledger, [one.id], later) == f"{said} (at most 50m more, idle for 10m)"
    over = host.later(9000).instant
    assert "(at most 0s more, idle for " in held(host.ledger, [one.id], over)


def test_a_lost_device_says_since_when() -> None:
    """As far as a mark tells that; and always why."""
    host = MarkedHost(GPU)
    host.look(gone=[gone(GPU)])
    host.later(90)
    assert lost(host.ledger, GPU.uuid, host.now.instant) == "lost for 1m30s: GPU is lost"
    host.ledger.marks.clear()
    assert lost(host.ledger, GPU.uuid, host.now.instant) == "lost: GPU is lost"


def test_of_many_leases_three_are_named() -> None:
    """A sentence stays readable on a device that many share."""
    host = Host(GPU)
    several = [host.grant(Request(name(str(n)), memory=GIB), ADA) for n in range(5)]
    named = ", ".join(f"{one.id} of user1000" for one in several[:3])
    ids = [one.id for one in several]
    assert held(host.ledger, ids, host.now.instant) == f"held by {named}, 2 more"
    assert held(host.ledger, ids[:3], host.now.instant) == f"held by {named}"
    assert held(host.ledger, [LeaseId("lease-gone"), *ids[:1]], host.now.instant) == (
        f"held by {ids[0]} of user1000"
    )


def test_what_settles_says_for_how_long() -> None:
    """Since the first of the leases began to end; their names only where all may see them."""
    one = lease(LeaseState.RELEASING, share(GPU), name="1")
    two = replace(lease(LeaseState.RELEASING, share(GPU), name="2"), ending=moment(952))
    ledger, now = Host(GPU).ledger, moment(955).instant
    said = settling(ledger, [two, one], now)
    assert said == "settling for 5s: the memory of lease-2, lease-1 is not confirmed back"
    ledger.policy = Policy(others=Sight(uid=True, device=False, memory=True, command=True))
    bare = replace(one, ending=None)
    assert settling(ledger, [bare], now) == "settling: the memory of a lease is not confirmed back"


def test_less_than_a_second_is_no_time() -> None:
    """Nothing is said to have lasted for 0 s."""
    assert lasting(None, moment(5).instant) == ""
    assert lasting(moment(5), moment(5.9).instant) == ""
    assert lasting(moment(5), moment(6).instant) == " for 1s"
    assert ago(moment(5), moment(5.9).instant) == ""
    assert ago(moment(5), moment(6).instant) == " (1s ago)"
