"""All that is said of one lease or one device."""

from dataclasses import replace

from gpusched.core.changes import GhostChanged, HoldsFound, IdleSeen, LeaseChanged, WaitingGone
from gpusched.core.device import Device
from gpusched.core.ghost import Ghost
from gpusched.core.idleness import Idle, IdleKind
from gpusched.core.ids import SECOND, LeaseId, RequestId
from gpusched.core.lease import Lease
from gpusched.core.operator_events import CordonRequested
from gpusched.core.particulars import device_particulars, lease_particulars
from gpusched.core.policy import Policy
from gpusched.core.pool import DEFAULT_POOL
from gpusched.core.replies import Verdict
from gpusched.core.request import Request
from gpusched.core.reserving import verdicts_for
from gpusched.core.sight import ALL, Sight
from gpusched.core.sizes import GIB
from gpusched.core.violation import Violation, ViolationKind
from tests.fakes.bounding import pooled
from tests.fakes.builders import BOB, ROOT, A, B, context, device, facts, mig, reading
from tests.fakes.host import Host
from tests.fakes.marked_host import MarkedHost, lost
from tests.fakes.queued_host import wish

ONE, TWO = device(0), device(1)
BLIND = Sight(uid=False, device=False, memory=False, command=False)


def said(host: Host, lease: Lease, seen: Sight = ALL, *, own: bool = True) -> str:
    """What is said of a lease now."""
    return lease_particulars(host.ledger, host.lease(lease.id), host.now.instant, seen, own=own)


def of_device(host: Host, one: Device = ONE, pool: str = DEFAULT_POOL) -> str:
    """What is said of a device now."""
    ledger, now = host.ledger, host.now.instant

    def judged(memory: int | None) -> Verdict:
        return next(
            verdict
            for verdict in verdicts_for(ledger, Request(A, memory=memory, pool=pool), now, None)
            if verdict.device == one.uuid
        )

    return device_particulars(ledger, ledger.devices[one.uuid], judged(None), judged(1), now)


def test_a_lease_says_what_its_holder_wants_to_know() -> None:
    """Whose, in which state, since when, with what, where, and what ends it."""
    host = Host(ONE, TWO)
    lease = host.grant(Request(A, count=2, time_limit=7200 * SECOND))
    host.later(60)
    assert said(host, lease) == (
        f"{lease.id} of user1000 is reserved, granted 1m ago, with 2 devices, on devices 0, 1;"
        " ends unless a process is attached in 4m; ends in 1h59m"
    )
    host.apply([LeaseChanged(replace(lease, user=""))])
    assert said(host, lease, own=False) == (
        f"{lease.id} of uid 1000 is reserved, granted 1m ago, on devices 0, 1"
    )
    assert said(host, lease, BLIND, own=False) == f"{lease.id} is reserved, granted 1m ago"


def test_a_lease_without_a_device_is_on_none() -> None:
    """Nothing is said of devices that it does not have."""
    host = Host(ONE)
    lease = host.grant(Request(A, count=0))
    assert said(host, lease, own=False).endswith("granted 0s ago")


def test_a_device_without_an_index_is_named_by_uuid() -> None:
    """A MIG instance, and one that is lost: their index says nothing to anybody."""
    parent = replace(ONE, mig_enabled=True)
    part = mig(parent, 1)
    host = Host(parent, part)
    lease = host.grant(Request(A, mig_profile=part.mig.profile if part.mig else None))
    assert f"on device {part.uuid};" in said(host, lease)
    gone = MarkedHost(ONE)
    held = gone.grant(Request(A))
    gone.look(gone=[lost(ONE)])
    assert f"on device {ONE.uuid};" in said(gone, held)
    gone.ledger.devices.pop(ONE.uuid)
    assert f"on device {ONE.uuid};" in said(gone, held)


def test_a_lease_that_is_over_says_how_it_ended() -> None:
    """And nothing of clocks that ran, nor of devices that it had."""
    host = Host(ONE)
    lease = host.grant(Request(A))
    host.later(30)
    host.release(lease)
    assert said(host, lease) == (
        f"{lease.id} of user1000 is ended, granted 30s ago, with 1 device: its holder released it"
    )


def test_an_idle_lease_says_so() -> None:
    """To its holder, and to who may see what is on devices."""
    host = Host(ONE)
    lease = host.grant(Request(A))
    host.apply([IdleSeen({lease.id: Idle(IdleKind.NO_PROCESS, host.now)})])
    host.later(1200)
    idle = "; idle: no process on its devices for 20m"
    assert said(host, lease, own=False).endswith(idle)
    assert idle in said(host, lease, BLIND)
    assert "idle" not in said(host, lease, BLIND, own=False)


def test_a_breach_is_told_to_the_holder() -> None:
    """As long as it lasts."""
    host = Host(ONE)
    lease = host.grant(Request(A, memory=4 * GIB))
    found = Violation(ViolationKind.OVER_LIMIT, ONE.uuid, None, host.now, 5 * GIB)
    host.apply([LeaseChanged(replace(lease, violations=(found,)))])
    assert f"above its limit of 4 GiB on {ONE.uuid}; held 5 GiB when" in said(host, lease)
    assert "limit of" not in said(host, lease, own=False)
    over = replace(found, within=host.now.instant)
    host.apply([LeaseChanged(replace(lease, violations=(over,)))])
    assert "limit of" not in said(host, lease)


def test_who_gives_way_knows_for_whom_and_when() -> None:
    """As far as users may know of each other; nothing where nobody waits for it any more."""
    host = Host(ONE)
    lease = host.grant(Request(A, priority="low"))
    waiting = host.queue(wish("wanted"), BOB)
    host.later(10)
    way = "who waits in the class normal: ends in 20s"
    assert f"; gives way to user1001, {way}" in said(host, lease, own=False)
    assert "gives way" not in said(host, lease, BLIND, own=False)
    host.ledger.policy = Policy(others=BLIND)
    assert f"; gives way to a user, {way}" in said(host, lease)
    host.apply([LeaseChanged(replace(host.lease(lease.id), giving_way=None))])
    assert "gives way" not in said(host, lease)
    assert host.waits(waiting)


def test_who_waits_no_more_is_not_named() -> None:
    """Between the end of a request and the next turn of the queue a lease gives way to nobody."""
    host = Host(ONE)
    lease = host.grant(Request(A, priority="low"))
    waiting = host.queue(replace(wish("wanted"), request_id=B), BOB)
    host.ledger.apply(WaitingGone(waiting.key))
    assert "gives way" not in said(host, lease)
    host.apply([HoldsFound({})])


def test_a_free_device_is_free() -> None:
    """Nothing else is to be said of it."""
    assert of_device(Host(ONE)) == "free"


def test_all_that_is_in_the_way_of_a_device_is_told() -> None:
    """A mark, the leases, memory that nobody has, and who is there without a lease; each once."""
    host = Host(ONE)
    lease = host.grant(Request(A, memory=4 * GIB))
    known = facts(7, uid=1003)
    host.tick(reading(ONE, context(7)), known=[known])
    host.apply([GhostChanged(ONE.uuid, Ghost(3 * GIB, 0, LeaseId("lease-x"), host.now))])
    host.do(CordonRequested(ROOT, ONE.uuid, "fan"))
    words = of_device(host)
    assert words.startswith("cordoned by user0")
    assert words.count("cordoned") == 1
    assert f"; held by {lease.id} of user1000" in words
    assert "; used without a lease by pid 7" in words
    assert words.endswith("; 3 GiB of ghost memory")


def test_a_shared_device_says_what_is_left() -> None:
    """It is held for who wants it whole, and free for a share."""
    host = Host(ONE)
    lease = host.grant(Request(A, memory=4 * GIB))
    assert of_device(host) == f"held by {lease.id} of user1000; 76 GiB free for shares"


def test_a_device_that_settles_names_its_lease_once() -> None:
    """The lease that ends is in the sentence already."""
    host = Host(ONE)
    lease = host.grant(Request(A))
    host.attach(lease, 7)
    host.release(lease)
    assert of_device(host) == f"settling: the memory of {lease.id} is not confirmed back"


def test_a_device_says_its_pool() -> None:
    """And where it is going, while its leases keep it in its old one."""
    host = Host(ONE, policy=Policy(pools=pooled(training=ONE.uuid)))
    assert of_device(host, pool="training") == "free; in pool training"
    lease = host.grant(Request(A, pool="training"))
    host.ledger.policy = Policy(pools=pooled("training", serving=ONE.uuid))
    words = of_device(host, pool="serving")
    assert words.startswith("moves from pool training to pool serving when")
    assert words.endswith(f"; held by {lease.id} of user1000")


def test_a_device_says_for_whom_it_is_kept() -> None:
    """Also while somebody else has it still."""
    host = Host(ONE, TWO)
    lease = host.grant(Request(RequestId("held"), devices=(ONE.uuid,)))
    host.queue(wish("pair", 2), BOB)
    kept = "kept for a request of user1001 that waits"
    assert of_device(host, TWO) == kept
    assert of_device(host) == f"held by {lease.id} of user1000; {kept}"


def test_a_notice_names_who_waits_as_far_as_all_may_know() -> None:
    """Where users are not shown to each other, neither the notice nor the end names one."""
    host = Host(ONE, policy=Policy(others=BLIND))
    lease = host.grant(Request(A, priority="low"))
    host.queue(wish("urgent"), BOB)
    (notice,) = host.ledger.notices
    assert notice.sentence.startswith("gives way to a user, who waits in the class normal")
    host.later(30)
    host.tick()
    assert host.lease(lease.id).detail == "a user waits for it in the class normal"
