"""What live leases take, added up by whose they are."""

from dataclasses import replace

from gpusched.core.ids import LeaseId
from gpusched.core.lease import LeaseState
from gpusched.core.request import Request
from gpusched.core.share import Share
from gpusched.core.sizes import GIB
from gpusched.core.tally import (
    NOTHING_TAKEN,
    Subject,
    Taken,
    Tallies,
    Weight,
    subjects_of,
    weight_of,
)
from tests.fakes.builders import ADA, A, device, labelled, lease, mig, share

GPU, OTHER = device(0), device(1)
SLICE, BESIDE = mig(GPU, 1, 0), mig(GPU, 1, 1)
RED = Subject("label", ("team", "red"))


def whole(one: Share, total: int | None) -> Share:
    return replace(one, total=total)


def test_a_holder_has_a_uid_groups_and_labels() -> None:
    """What somebody has is on the account of his uid, each of his groups once, and each label."""
    assert subjects_of(1000, 100, (4, 100, 27), {"team": "red"}) == (
        Subject("uid", 1000),
        Subject("gid", 100),
        Subject("gid", 4),
        Subject("gid", 27),
        RED,
    )


def test_a_share_weighs_what_is_promised_and_a_whole_device_all_of_it() -> None:
    """A share counts its bytes, a whole device its memory, and each of them is one device."""
    shares = (share(GPU, 4 * GIB), whole(share(OTHER), 80 * GIB))
    assert weight_of(shares) == Weight(2, 84 * GIB)


def test_a_device_without_memory_of_its_own_weighs_none() -> None:
    """A whole device whose memory is not known, or not its own, is a device all the same."""
    assert weight_of((share(GPU),)) == Weight(1, 0)


def test_whole_compute_instances_of_one_memory_have_it_once() -> None:
    """Two compute instances of one GPU instance, held whole, are two devices and one memory."""
    shares = (whole(share(SLICE), 40 * GIB), whole(share(BESIDE), 40 * GIB))
    assert weight_of(shares) == Weight(2, 40 * GIB)


def test_a_lease_counts_while_it_lives() -> None:
    """From grant to end a lease is on the account of its holder; a next version counts once."""
    tallies = Tallies()
    mine = Subject("uid", ADA.uid)
    request = Request(A, labels=labelled(team="red"))
    first = lease(LeaseState.RESERVED, share(GPU, 4 * GIB), request=request)
    tallies.follow(None, first)
    assert tallies.of(mine) == Taken({first.id: None}, 1, 4 * GIB)
    assert tallies.of(RED) == tallies.of(mine)
    second = replace(first, shares=(share(GPU, GIB), share(OTHER, GIB)))
    tallies.follow(first, second)
    assert tallies.of(mine) == Taken({first.id: None}, 2, 2 * GIB)
    tallies.follow(second, replace(second, state=LeaseState.ENDED))
    assert tallies.of(mine) == NOTHING_TAKEN
    assert tallies == Tallies()


def test_a_version_that_takes_the_same_changes_nothing() -> None:
    """A lease that moves on with its shares keeps its place among the leases of its holder."""
    tallies = Tallies()
    one = lease(LeaseState.RESERVED, share(GPU, GIB), name="1")
    two = lease(LeaseState.RESERVED, share(OTHER, GIB), name="2")
    for fresh in (one, two):
        tallies.follow(None, fresh)
    tallies.follow(one, replace(one, state=LeaseState.ACTIVE))
    names = tallies.of(Subject("uid", ADA.uid)).leases
    assert list(names) == [LeaseId("lease-1"), LeaseId("lease-2")]
    tallies.follow(two, replace(two, state=LeaseState.ENDED))
    assert tallies.of(Subject("uid", ADA.uid)) == Taken({one.id: None}, 1, GIB)


def test_tallies_are_compared_by_what_they_say() -> None:
    """Two tallies of the same leases are equal, so that the ledger can check its own."""
    one, other = Tallies(), Tallies()
    one.follow(None, lease(LeaseState.RESERVED, share(GPU, GIB)))
    assert one != other
    assert one != 5
