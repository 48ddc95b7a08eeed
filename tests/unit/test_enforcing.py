"""What the kernel is asked for: the mask of a cgroup is that of all leases in it."""

from dataclasses import replace

import pytest

from gpusched.core.actions import Remask, Terminate, Unprepare
from gpusched.core.clocks import Clocks
from gpusched.core.decision import Decision
from gpusched.core.enforcement import LeaseCgroup, Level
from gpusched.core.enforcing import let_go, mask_for, masks, nothing
from gpusched.core.events import Masked
from gpusched.core.ids import Instant, RequestId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.mask import mask_of
from gpusched.core.request import Enforce, Request
from tests.fakes.host import changed_leases, sentences
from tests.fakes.kernel_builders import GOVERNED, GPUS, held, host_of, own_cgroup, service

S = LeaseState


def mask(*places: int):  # type: ignore[no-untyped-def]
    """The mask of whoever has the GPUs at these places."""
    return mask_of([GPUS[one].uuid for one in places], GPUS, GOVERNED)


def advisory(lease: Lease) -> Lease:
    """The same, asked for without a mask."""
    asked = replace(lease.request, enforce=Enforce.ADVISORY)
    return replace(lease, request=asked, level=Level.ADVISORY)


def two(cgroup: LeaseCgroup) -> tuple[Lease, Lease]:
    """Two leases in one cgroup."""
    return held(cgroup, GPUS[0]), held(cgroup, GPUS[1], name="2")


def test_the_mask_of_a_cgroup_is_the_union_of_its_leases() -> None:
    """An advisory lease takes part where another is held; alone it has no mask."""
    one, other = two(own_cgroup())
    host = host_of(one, advisory(other))
    assert mask_for(host.ledger, [one, advisory(other)]) == mask(0, 1)
    assert mask_for(host.ledger, [advisory(other)]) is None
    under_it = replace(advisory(other), level=Level.DEVICE_PROGRAM)
    assert mask_for(host.ledger, [under_it]) == mask(1)
    assert masks(host.ledger) == {own_cgroup(): mask(0, 1)}


def test_no_mask_is_made_before_the_first_sample() -> None:
    """While no nodes are known a mask would allow all: there is none."""
    one, other = two(own_cgroup())
    host = host_of(one, other, sampled=False)
    assert mask_for(host.ledger, [one]) is None
    assert masks(host.ledger) == {}
    assert let_go(host.ledger, one, kill=False) == []
    assert let_go(host.ledger, one, kill=False, along={other.id}) == []


@pytest.mark.parametrize("kill", [True, False])
@pytest.mark.parametrize("cgroup", [own_cgroup(), service()])
def test_a_shared_cgroup_keeps_the_devices_of_the_others(cgroup: LeaseCgroup, kill: bool) -> None:  # noqa: FBT001
    """The mask becomes narrower, and nobody is killed."""
    one, other = two(cgroup)
    assert let_go(host_of(one, other).ledger, one, kill=kill) == [Remask(cgroup, mask(1))]


def test_leases_that_end_together_do_not_keep_each_other() -> None:
    """The last of them are let go as if each were alone."""
    one, other = two(service())
    host = host_of(one, other)
    assert let_go(host.ledger, one, kill=False, along={other.id}) == [Unprepare(service())]


def test_an_advisory_lease_does_not_inherit_devices() -> None:
    """Where only advisory ones stay, the program goes on with theirs."""
    one, other = two(service())
    host = host_of(one, advisory(other))
    assert let_go(host.ledger, one, kill=False) == [Remask(service(), mask(1))]
    bare = replace(one, level=Level.ADVISORY)
    assert let_go(host.ledger, bare, kill=False) == []


def test_a_lease_alone_is_let_go() -> None:
    """In place it is unmasked; in a cgroup of ours it is ended or may open nothing."""
    ours, theirs = held(own_cgroup(), GPUS[0]), held(service(), GPUS[0])
    host = host_of(ours)
    assert let_go(host.ledger, ours, kill=True) == [Terminate(own_cgroup())]
    assert let_go(host.ledger, ours, kill=False) == [Remask(own_cgroup(), mask())]
    assert let_go(host.ledger, replace(ours, level=Level.ADVISORY), kill=False) == []
    assert let_go(host.ledger, replace(ours, cgroup=None), kill=True) == []
    assert let_go(host_of(theirs).ledger, theirs, kill=True) == [Unprepare(service())]


def test_a_cgroup_in_which_a_lease_is_prepared_gets_its_mask_from_that() -> None:
    """Nobody interferes with a preparation."""
    one, other = two(service())
    preparing = replace(other, state=S.PREPARING, entered=None)
    assert masks(host_of(one, preparing).ledger) == {}


@pytest.mark.parametrize("kill", [True, False])
def test_a_cgroup_whose_lease_ends_allows_nothing_unless_it_is_killed(kill: bool) -> None:  # noqa: FBT001
    """Until killed processes are gone they keep what they had; others lose it at once."""
    clocks = Clocks(kill=Instant(9)) if kill else Clocks()
    ends = replace(held(own_cgroup(), GPUS[0], state=S.RELEASING), clocks=clocks)
    assert masks(host_of(ends).ledger) == {own_cgroup(): mask(0) if kill else mask()}


def test_what_never_had_a_mask_gets_none_at_its_end() -> None:
    """An advisory cgroup of ours, and somebody else's, have no mask when their lease ends."""
    ours = advisory(held(own_cgroup(), GPUS[0], state=S.RELEASING))
    theirs = held(service(), GPUS[1], name="2", state=S.RELEASING)
    assert masks(host_of(ours, theirs).ledger) == {}


def test_the_mask_is_for_the_newest_cgroup_of_a_name() -> None:
    """A cgroup that was made again is another: the older lease's is gone."""
    older, newer = held(service(21), GPUS[0]), held(service(22), GPUS[1], name="2")
    assert list(masks(host_of(older, newer).ledger)) == [service(22)]


def test_a_mask_that_fails_is_told_by_the_level_and_again_when_it_holds() -> None:
    """Every lease of the cgroup says how far it is held, and why not more; no news is not told."""
    host = host_of(*two(own_cgroup()))
    failed = host.do(Masked(own_cgroup(), "no room"))
    assert {(one.level, one.level_reason) for one in changed_leases(failed)} == {
        (Level.ADVISORY, "no room")
    }
    assert sentences(failed) == ["no room"] * 2
    assert host.do(Masked(own_cgroup(), "no room")) == Decision()
    again = host.do(Masked(own_cgroup()))
    assert {(one.level, one.level_reason) for one in changed_leases(again)} == {
        (Level.DEVICE_PROGRAM, "")
    }
    assert sentences(again) == ["the kernel holds its mask again"] * 2
    assert host.do(Masked(own_cgroup())) == Decision()


def test_a_lease_that_confines_itself_falls_back_to_that() -> None:
    """Landlock goes on to hold what the program does not."""
    asked = Request(RequestId("1"), attach_caller=True, confines_itself=True)
    host = host_of(replace(held(own_cgroup(), GPUS[0]), request=asked))
    (lease,) = changed_leases(host.do(Masked(own_cgroup(), "no room")))
    assert lease.level is Level.LANDLOCK


def test_only_leases_of_that_very_cgroup_are_concerned() -> None:
    """Advisory leases, ending ones, and those of another cgroup of the name stay as they are."""
    ends = held(own_cgroup(), GPUS[1], name="2", state=S.RELEASING)
    host = host_of(
        advisory(held(own_cgroup(), GPUS[0])), ends, held(service(22), GPUS[2], name="3")
    )
    assert host.do(Masked(own_cgroup(), "no room")) == Decision()
    assert host.do(Masked(service(21), "it is gone")) == Decision()


def test_nothing_is_what_a_process_without_a_lease_may_open() -> None:
    """It has no GPU, and no control node either."""
    none = nothing(host_of().ledger)
    assert not any(none.allows(195, minor) for minor in range(256))
