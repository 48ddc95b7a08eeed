"""The host-wide guard: who may turn it, what it is told, and what is noted of it."""

from dataclasses import replace

import pytest

from gpusched.core.actions import SetGuard
from gpusched.core.decision import Decision
from gpusched.core.enforcement import Ability, Level
from gpusched.core.events import GuardRequested, GuardSet, Ticked
from gpusched.core.lease import LeaseState
from gpusched.core.mask import NodeRange
from gpusched.core.replies import NOT_ADMIN, Done, Guarding, Refusal, Rejected
from gpusched.core.sample import Unavailable
from tests.fakes.builders import ADA, ROOT, reading, sample
from tests.fakes.host import sentences
from tests.fakes.kernel_builders import (
    ABLE,
    GOVERNED,
    GPUS,
    held,
    host_of,
    noded,
    own_cgroup,
    service,
)


def test_the_guard_admits_the_cgroups_of_usable_leases() -> None:
    """It is told each cgroup once, in order; those of leases that end are not let through."""
    ends = held(own_cgroup("9"), GPUS[3], name="9", state=LeaseState.RELEASING)
    leases = (
        held(service(), GPUS[0]),
        held(service(), GPUS[1], name="2"),
        held(own_cgroup("3"), GPUS[2], name="3"),
    )
    host = host_of(*leases, held(None, name="4"), ends)
    decision = host.do(GuardRequested(ROOT, on=True))
    order = SetGuard(on=True, governed=GOVERNED, admitted=(own_cgroup("3"), service()))
    assert decision == Decision((), (order,), Guarding())


def test_only_an_administrator_turns_it() -> None:
    """Who has no right to is refused."""
    assert host_of().do(GuardRequested(ADA, on=True)) == Decision(reply=NOT_ADMIN)


@pytest.mark.parametrize(
    ("level", "sampled", "why"),
    [
        (Level.ADVISORY, True, Refusal.NEVER_HERE),
        (Level.DEVICE_PROGRAM, False, Refusal.WRONG_STATE),
    ],
)
def test_a_guard_that_would_not_hold_is_refused(level: Level, sampled: bool, why: Refusal) -> None:  # noqa: FBT001
    """It needs programs and nodes to be turned on; nothing to be turned off."""
    host = host_of(sampled=sampled, ability=Ability(level, "so", cgroups=True))
    reply = host.do(GuardRequested(ROOT, on=True)).reply
    assert isinstance(reply, Rejected)
    assert reply.why is why
    assert host.do(GuardRequested(ROOT, on=False)).reply == Guarding()


def test_what_the_guard_is_is_noted_once() -> None:
    """A change is told; the same again is no news."""
    host = host_of()
    first = host.do(GuardSet(on=True))
    assert first.reply == Done(())
    assert sentences(first) == ["guard on: processes without a lease cannot open devices any more"]
    assert host.ledger.ability == replace(ABLE, guard=True)
    assert host.do(GuardSet(on=True)) == Decision(reply=Done(()))


def test_a_guard_that_was_not_turned_says_why() -> None:
    """The failure is the answer, and what the guard really is is noted."""
    host = host_of(ability=replace(ABLE, guard=True))
    decision = host.do(GuardSet(on=False, failure="no"))
    assert decision.reply == Rejected(Refusal.WRONG_STATE, "no")
    assert host.ledger.ability.guard is False


@pytest.mark.parametrize("on", [True, False])
def test_other_nodes_are_told_to_a_guard_that_is_on(on: bool) -> None:  # noqa: FBT001
    """When the driver comes back with other nodes the guard is about those."""
    host = host_of(ability=replace(ABLE, guard=on))
    taken = noded(sample(*map(reading, GPUS), at=host.now))
    assert not isinstance(taken.reading, Unavailable)
    ranges = (NodeRange(196, 0, 254),)
    other = replace(taken, reading=replace(taken.reading, governed=ranges))
    told = [
        one.governed.ranges for one in host.do(Ticked(other)).actions if isinstance(one, SetGuard)
    ]
    assert told == ([ranges] if on else [])
