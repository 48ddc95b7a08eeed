"""What runs already becomes a lease in place: what it gets."""

import pytest

from gpusched.core.actions import Prepare, WatchExit
from gpusched.core.changes import AbilityFound, StoryKind, StoryTold
from gpusched.core.enforcement import LeaseCgroup, Mode
from gpusched.core.events import LeasePrepared
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.policy import Policy
from gpusched.core.replies import Attachment, Done, Underway
from gpusched.core.request import OverUse, Request
from tests.fakes.adopting import GIB, LEASE, MIB, SERVICE, SESSION, asked, host_of, served
from tests.fakes.builders import (
    A,
    context,
    facts,
    mig,
    process,
    reading,
)
from tests.fakes.host import MASKING, Host
from tests.fakes.strays import GPU, OTHER


def test_a_service_becomes_a_lease_in_place() -> None:
    """What is alone on its device gets the whole of it, masked where it is."""
    host = host_of(reading(GPU, context(7, 3 * GIB)), known=[served()])
    decision = asked(host)
    assert isinstance(decision.reply, Underway)
    lease = host.lease(LEASE)
    assert lease.state is LeaseState.PREPARING
    assert (lease.uid, lease.gid, lease.user, lease.adopted) == (1000, 100, "ada", True)
    assert [(one.device, one.memory, one.baseline) for one in lease.shares] == [
        (GPU.uuid, None, 0)
    ]
    assert lease.cgroup == LeaseCgroup(SERVICE, sum(SERVICE.encode()), made=False)
    assert (lease.request.memory, lease.request.over_use) == (None, OverUse.WARN)
    (order,) = decision.actions
    assert isinstance(order, Prepare)
    assert (order.mode, order.process, order.only_uid) == (Mode.IN_PLACE, process(7), None)
    told = [one.line for one in decision.changes if isinstance(one, StoryTold)]
    assert [(one.kind, one.entity, one.sentence) for one in told] == [
        (
            StoryKind.ADOPTED,
            LEASE,
            f"adopted from ada, processes 7: {GPU.uuid} exclusively: nobody else is on it",
        )
    ]
    assert told[0].data == {"uid": "1000", "pids": "7", "devices": GPU.uuid}


def test_it_lives_on_as_any_lease() -> None:
    """Once the kernel has it, it is ACTIVE without any clock, and ends with its last process."""
    host = host_of(reading(GPU, context(7, 3 * GIB)), known=[served()])
    asked(host)
    cgroup = host.lease(LEASE).cgroup
    assert cgroup is not None
    did = Attachment(Mode.IN_PLACE, (process(7),))
    host.do(LeasePrepared(LEASE, cgroup, MASKING.level, "", did))
    lease = host.lease(LEASE)
    assert (lease.state, lease.adopted) == (LeaseState.ACTIVE, True)
    assert {lease.clocks.attach, lease.clocks.keepalive, lease.clocks.time_limit} == {None}
    host.later(1)
    host.tick(members={LEASE: frozenset()})
    assert host.lease(LEASE).reason is EndReason.EMPTY


def test_a_keepalive_by_default_is_not_for_it() -> None:
    """Nobody renews what nobody asked for."""
    host = Host(GPU, policy=Policy(keepalive=10**9))
    host.apply([AbilityFound(MASKING)])
    host.tick(reading(GPU, context(7)), known=[served()])
    asked(host)
    assert host.lease(LEASE).clocks.keepalive is None


@pytest.mark.parametrize(
    ("uses", "free", "granted"),
    [
        (3 * GIB, 76, 3 * GIB),
        (3 * GIB + 1, 76, 3 * GIB + 256 * MIB),
        (0, 76, 256 * MIB),
        # No room beyond what both use: no more than that.
        (70 * GIB + 1, 0, 70 * GIB + 1),
    ],
)
def test_beside_others_it_gets_what_it_uses(uses: int, free: int, granted: int) -> None:
    """Not alone on its device, it gets as much as it uses now, rounded up where there is room."""
    rest = 80 * GIB - uses - free * GIB if not free else GIB
    shown = reading(GPU, context(7, uses), context(8, rest))
    host = host_of(shown, known=[served(), served(8, "/system.slice/b.service")])
    decision = asked(host)
    assert isinstance(decision.reply, Underway), decision.reply
    lease = host.lease(LEASE)
    assert [one.memory for one in lease.shares] == [granted]
    assert lease.request.memory == granted
    (told,) = [one.line for one in decision.changes if isinstance(one, StoryTold)]
    assert "and is not alone there" in told.sentence


def test_beside_a_lease_it_gets_a_share() -> None:
    """A device that is shared by leases is shared with what is adopted as well."""
    host = host_of(known=[])
    host.grant(Request(A, memory=10 * GIB, devices=(GPU.uuid,)))
    host.tick(reading(GPU, context(7, 3 * GIB)), known=[served()])
    asked(host)
    assert [one.memory for one in host.lease(LEASE).shares] == [3 * GIB]


def test_several_devices() -> None:
    """Each device is weighed by itself: one whole, one shared."""
    known = [served(), served(8, "/system.slice/b.service")]
    shown = (
        reading(GPU, context(7, GIB)),
        reading(OTHER, context(7, 2 * GIB), context(8, GIB)),
    )
    host = host_of(*shown, known=known)
    asked(host)
    lease = host.lease(LEASE)
    assert [(one.device, one.memory) for one in lease.shares] == [
        (GPU.uuid, None),
        (OTHER.uuid, 2 * GIB),
    ]
    assert (lease.request.count, lease.request.memory) == (2, 2 * GIB)


def test_a_dry_run_changes_nothing() -> None:
    """It says what would be done, and where: in place, moved, or recorded."""
    host = host_of(reading(GPU, context(7)), known=[served()])
    decision = asked(host, dry_run=True)
    assert (decision.changes, decision.actions) == ((), ())
    assert isinstance(decision.reply, Done)
    alone = f"{GPU.uuid} exclusively: nobody else is on it"
    assert decision.reply.sentence == f"{alone}; masked in place in {SERVICE}"

    session = host_of(reading(GPU, context(7)), known=[served(7, SESSION)])
    reply = asked(session, cgroup=SESSION, dry_run=True).reply
    assert isinstance(reply, Done)
    assert reply.sentence == f"{alone}; moved into its cgroup"

    bare = host_of(reading(GPU, context(7)), known=[served(7, "")], cgroups=False)
    reply = asked(bare, cgroup="", dry_run=True).reply
    assert isinstance(reply, Done)
    assert reply.sentence == f"{alone}; recorded by name"
    assert list(bare.ledger.live()) == []


def test_without_cgroups_it_is_recorded() -> None:
    """Where the daemon can make no cgroups the lease knows it by name, and watches its end."""
    host = host_of(reading(GPU, context(7)), known=[served(7, "")], cgroups=False)
    decision = asked(host, cgroup="")
    assert decision.actions == (WatchExit(process(7)),)
    lease = host.lease(LEASE)
    assert (lease.state, lease.processes, lease.adopted) == (
        LeaseState.ACTIVE,
        (process(7),),
        True,
    )


def test_a_session_s_process_is_moved() -> None:
    """A process that nobody looks after is moved with its descendants."""
    host = host_of(reading(GPU, context(7)), known=[served(7, SESSION)])
    (order,) = asked(host, cgroup=SESSION).actions
    assert isinstance(order, Prepare)
    assert (order.mode, order.process) == (Mode.MOVE, process(7))


def test_the_book_bounds_what_is_rounded_up() -> None:
    """Rounded up it gets no more than the book has left, whatever the card says is free."""
    host = host_of(known=[])
    request = Request(A, memory=78 * GIB + 100 * MIB, devices=(GPU.uuid,))
    host.enter(host.grant(request), 50, LeaseCgroup("/gpusched/lease-1", 5, made=True))
    one = facts(50, cgroup="/gpusched/lease-1")
    shown = reading(GPU, context(7, 1800 * MIB), context(50, 78 * GIB + 100 * MIB), used=0)
    host.tick(shown, known=[served(), one])
    asked(host)
    assert [one.memory for one in host.lease(LEASE).shares] == [1948 * MIB]


def test_two_compute_instances_of_one_memory() -> None:
    """What it gets of one instance is not given again of the other."""
    one, two, third = (mig(GPU, 1, place) for place in range(3))
    host = Host(one, two, third)
    host.apply([AbilityFound(MASKING)])
    known = [served(7), served(8), served(9, "/system.slice/b.service")]
    host.tick(
        reading(one, context(7, 20 * GIB - 1), used=39 * GIB),
        reading(two, context(8, 19 * GIB - 1), used=39 * GIB),
        reading(third, context(9, MIB), used=39 * GIB),
        known=known,
    )
    asked(host)
    shares = host.lease(LEASE).shares
    assert [share.memory for share in shares] == [20 * GIB, 19 * GIB - 1]
