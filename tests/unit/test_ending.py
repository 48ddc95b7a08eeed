"""How a lease ends: signals, deadlines, the mask that goes, memory that has to come back."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from gpusched.core.actions import Action, Kill, Remask, TakeSample, Terminate, Unprepare
from gpusched.core.attribution import DeviceUse
from gpusched.core.changes import GhostChanged
from gpusched.core.clocks import Clocks
from gpusched.core.decision import Decision
from gpusched.core.denial import DeniedOpen
from gpusched.core.ending import Ending, Manner, begin, given_up, kills, settle, vanished_ghosts
from gpusched.core.enforcement import NOT_PROBED, Level
from gpusched.core.enforcing import nothing
from gpusched.core.events import CgroupEmptied, Ticked
from gpusched.core.ghost import Ghost
from gpusched.core.ids import SECOND, Instant, LeaseId, ProcessId
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.sizes import GIB
from tests.fakes.builders import UNREADABLE, context, moment, process, reading, sample
from tests.fakes.host import Host, changed_leases, sentences
from tests.fakes.kernel_builders import GPUS, held, host_of, noded, own_cgroup, service

S, R = LeaseState, EndReason
GPU = GPUS[0]
DYING = replace(
    held(own_cgroup(), GPU, state=S.RELEASING), clocks=Clocks(kill=moment(1000).instant)
)


def settled(
    host: Host, lease: Lease, *, used: int = 0, members: Collection[ProcessId] | None = None
) -> Ending:
    """What a sample begun now makes of an ending lease: so much memory, these processes."""
    found = {} if members is None else {lease.id: frozenset(members)}
    use = DeviceUse(reading(GPU, used=used), ())
    return settle(
        host.ledger, lease, sample(at=host.now, members=found), {GPU.uuid: use}, host.now
    )


def with_baseline(lease: Lease, baseline: int | None = GIB) -> Lease:
    """The lease, of a device that had this much memory without a process before."""
    return replace(lease, shares=(replace(lease.shares[0], baseline=baseline),))


def test_processes_in_a_cgroup_of_ours_are_ended() -> None:
    """They get SIGTERM, and a deadline for what follows: the grace, asked for or configured."""
    lease = held(own_cgroup(), GPU)
    host = host_of(lease)
    ends = begin(host.ledger, lease, Manner(R.REVOKED, kill=True), host.now)
    assert ends.actions == (Terminate(own_cgroup()),)
    assert ends.lease.clocks == Clocks(kill=Instant(host.now.instant + host.ledger.policy.grace))
    soon = begin(host.ledger, lease, Manner(R.REVOKED, kill=True, grace=SECOND), host.now)
    assert soon.lease.clocks.kill == host.now.instant + SECOND
    host.apply(ends.changes)
    assert host.ledger.stories[-1].sentence == "SIGTERM was sent to its processes"


def test_processes_in_somebody_elses_cgroup_are_never_killed() -> None:
    """They are unmasked; at most they get SIGTERM, where an operator says so."""
    lease = held(service(), GPU)
    host = host_of(lease)
    ends = begin(host.ledger, lease, Manner(R.REVOKED, kill=True), host.now)
    assert (ends.actions, ends.lease.clocks) == ((Unprepare(service()),), Clocks())
    told = begin(host.ledger, lease, Manner(R.REVOKED, kill=True, in_place=True), host.now)
    assert told.actions == (Terminate(service()), Unprepare(service()))
    ours = held(own_cgroup(), GPU)
    mild = begin(host_of(ours).ledger, ours, Manner(R.RELEASED, in_place=True), host.now)
    assert mild.actions == (Remask(own_cgroup(), nothing(host.ledger)),)


def test_processes_that_have_another_lease_are_not_ended() -> None:
    """Unless that ends together with it."""
    one, other = held(own_cgroup(), GPU), held(own_cgroup(), GPUS[1], name="2")
    host = host_of(one, other)
    assert not kills(host.ledger, one)
    assert kills(host.ledger, one, along={other.id})
    assert not kills(host.ledger, held(None, GPU))


def test_a_cgroup_of_somebody_elses_is_left_to_the_leases_that_are_in_it() -> None:
    """Not to one that is only being prepared, and not where gpusched finds processes by it."""
    one, other = held(service(), GPU), held(service(), GPUS[1], name="2")
    assert given_up(host_of(one, other).ledger, one).cgroup is None
    coming = replace(other, state=S.PREPARING, entered=None)
    assert given_up(host_of(one, coming).ledger, one) == one
    assert given_up(host_of(one).ledger, one) == one
    ours = [replace(each, cgroup=own_cgroup()) for each in (one, other)]
    assert given_up(host_of(*ours).ledger, ours[0]) == ours[0]


def test_the_leases_of_an_empty_cgroup_end() -> None:
    """All of that very cgroup end, and it is cleared away."""
    host = host_of(held(service(), GPU), held(service(), GPUS[1], name="2"))
    decision = host.do(CgroupEmptied(service()))
    assert [one.reason for one in changed_leases(decision)] == [R.EMPTY] * 2
    assert decision.actions == (Unprepare(service()), TakeSample())
    again = host.do(CgroupEmptied(service()))
    assert again == Decision((), (Unprepare(service()), TakeSample()))


def test_an_empty_cgroup_of_the_same_name_is_another() -> None:
    """Nothing ends but what has that very cgroup."""
    host = host_of(held(service(22), GPU))
    assert host.do(CgroupEmptied(service(21))) == Decision((), (Unprepare(service(21)),))


def test_a_lease_that_is_prepared_meanwhile_keeps_an_empty_cgroup() -> None:
    """Its own outcome decides; the mask is not taken from under it."""
    coming = replace(held(service(), GPUS[1], name="2"), state=S.PREPARING, entered=None)
    host = host_of(held(service(), GPU), coming)
    decision = host.do(CgroupEmptied(service()))
    assert [one.id for one in changed_leases(decision)] == ["lease-1"]
    assert decision.actions == (TakeSample(),)


def test_what_did_not_end_in_time_is_killed_at_every_tick() -> None:
    """Before the deadline nothing is done; at it, and until they are gone, they are killed."""
    host = host_of(DYING)
    soon = replace(DYING, clocks=Clocks(kill=moment(1001).instant))
    assert settled(host, soon, members=[process(50)]) == Ending(soon)
    for _ in range(2):
        assert settled(host, DYING, members=[process(50)]).actions == (Kill(own_cgroup()),)
    assert settled(host, DYING).actions == (Kill(own_cgroup()),), "not looked at is not gone"
    assert settled(host, DYING, members=[]).lease.state is S.ENDED
    nowhere = replace(DYING, cgroup=None)
    assert settled(host, nowhere, members=[process(50)]) == Ending(nowhere)


@pytest.mark.parametrize("grace", [0, 3])
def test_a_kill_is_told_once(grace: int) -> None:
    """The history has SIGTERM and SIGKILL in their order, and each once, however often it is
    repeated.
    """
    host = host_of(held(own_cgroup(), GPU))
    manner = Manner(R.REVOKED, kill=True, grace=grace * SECOND)
    host.apply(begin(host.ledger, host.lease(LeaseId("lease-1")), manner, host.now).changes)
    members = {LeaseId("lease-1"): frozenset({process(50)})}
    actions: list[Action] = []
    for _ in range(6):
        host.later(1)
        actions += host.tick(members=members).actions
    told = [one.sentence for one in host.ledger.stories if "was sent" in one.sentence]
    assert told == ["SIGTERM was sent to its processes", "SIGKILL was sent to its processes"]
    assert actions.count(Kill(own_cgroup())) > 1


def test_a_sample_from_before_the_end_confirms_nothing() -> None:
    """Neither does any sample for a preparation that is rolled back."""
    lease = held(own_cgroup(), GPU, state=S.RELEASING)
    host = host_of(lease)
    for unfit in (replace(lease, ending=host.now), replace(lease, entered=None)):
        assert settled(host, unfit) == Ending(unfit)


def test_a_lease_in_place_has_not_ended_before_it_is_unmasked() -> None:
    """Unless this daemon could not unmask anything."""
    lease = held(service(), GPU, state=S.RELEASING)
    assert settled(host_of(lease), lease) == Ending(lease)
    assert settled(host_of(lease, ability=NOT_PROBED), lease).lease.state is S.ENDED


def test_memory_that_does_not_come_back_is_waited_for_and_then_a_ghost() -> None:
    """Beyond what was normal before; the device is free then, and the figure is kept."""
    lease = with_baseline(held(own_cgroup(), GPU, state=S.RELEASING))
    host = host_of(lease)
    deadline = Instant(host.now.instant + host.ledger.policy.settle)
    waiting = settled(host, lease, used=4 * GIB).lease
    assert (waiting.state, waiting.clocks) == (S.RELEASING, Clocks(settle=deadline))
    host.later(9)
    assert settled(host, waiting, used=4 * GIB) == Ending(waiting)
    assert settled(host, waiting, used=GIB).lease.state is S.ENDED
    host.later(1)
    over = settled(host, waiting, used=4 * GIB)
    host.apply(over.changes)
    assert host.ledger.ghosts == {GPU.uuid: Ghost(3 * GIB, GIB, lease.id, host.now)}
    assert host.ledger.stories[-1].sentence == "3 GiB of lease-1 did not come back: ghost memory"


def test_a_second_ghost_does_not_hide_the_first() -> None:
    """What was normal before the first is normal still."""
    lease = with_baseline(replace(DYING, clocks=Clocks(settle=Instant(1))), 3 * GIB)
    host = host_of(lease)
    host.apply([GhostChanged(GPU.uuid, Ghost(2 * GIB, GIB, lease.id, host.now))])
    host.apply(settled(host, lease, used=5 * GIB).changes)
    assert host.ledger.ghosts[GPU.uuid].baseline == GIB


@pytest.mark.parametrize("baseline", [None, GIB])
def test_what_is_normal_or_not_known_is_no_ghost(baseline: int | None) -> None:
    """A little more than before, or a device of which that is not known, is free at once."""
    lease = with_baseline(held(own_cgroup(), GPU, state=S.RELEASING), baseline)
    used = 4 * GIB if baseline is None else GIB + 64 * 2**20
    assert settled(host_of(lease), lease, used=used).lease.state is S.ENDED


def test_memory_that_cannot_be_read_is_no_ghost() -> None:
    """A list whose processes have no figures says nothing about memory without a process."""
    lease = with_baseline(held(own_cgroup(), GPU, state=S.RELEASING))
    host = host_of(lease)
    use = DeviceUse(reading(GPU, context(7, UNREADABLE)), ())
    over = settle(host.ledger, lease, sample(at=host.now), {GPU.uuid: use}, host.now)
    assert over.lease.state is S.ENDED


def test_ghost_memory_goes_when_it_is_seen_to_be_gone() -> None:
    """Not for a device that is not read, nor while too much of it is there."""
    host = host_of()
    host.apply([GhostChanged(GPU.uuid, Ghost(3 * GIB, GIB, held(None).id, host.now))])
    for uses in ({}, {GPU.uuid: DeviceUse(reading(GPU, used=2 * GIB), ())}):
        assert vanished_ghosts(host.ledger, uses, host.now) == []
    gone = {GPU.uuid: DeviceUse(reading(GPU, used=GIB), ())}
    host.apply(vanished_ghosts(host.ledger, gone, host.now))
    assert host.ledger.ghosts == {}


def test_denied_opens_are_told_of_the_lease_of_the_cgroup() -> None:
    """With the node's name where it is known; a process without a lease is the daemon's affair."""
    host = host_of(held(own_cgroup(inode=11), GPU), held(None, GPUS[1], name="2"))
    denied = (DeniedOpen(50, 11, 195, 3, 2), DeniedOpen(None, 99, 236, 7))
    taken = noded(sample(*map(reading, GPUS), at=host.now))
    decision = host.do(Ticked(taken, denied))
    told = [one for one in host.ledger.stories if "was denied" in one.sentence]
    assert [(one.entity, one.sentence) for one in told] == [
        ("lease-1", "process 50 was denied /dev/nvidia3 (2 times)"),
        ("daemon", "a process was denied device 236:7"),
    ]
    assert len(sentences(decision)) == 2


def test_a_deadline_ends_processes_too() -> None:
    """A time limit that is reached kills what gpusched may kill."""
    lease = replace(
        held(own_cgroup(), GPU), clocks=Clocks(time_limit=Instant(1)), level=Level.ADVISORY
    )
    host = host_of(lease)
    decision = host.do(Ticked(noded(sample(*map(reading, GPUS), at=host.now))))
    assert Terminate(own_cgroup()) in decision.actions
