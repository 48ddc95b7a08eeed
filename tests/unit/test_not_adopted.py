"""What runs already and does not become a lease, and why."""

from dataclasses import replace

import pytest

from gpusched.core.changes import LeaseChanged
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.replies import Done, Refusal, Rejected, Underway
from gpusched.core.request import Request
from gpusched.core.sample import Unavailable
from tests.fakes.adopting import GIB, SERVICE, SESSION, asked, host_of, refusal, served
from tests.fakes.builders import (
    ADA,
    UNREADABLE,
    A,
    B,
    context,
    facts,
    reading,
)
from tests.fakes.strays import GPU, OTHER


def test_only_administrators() -> None:
    """Nobody else makes leases of what runs, not even of his own."""
    host = host_of(reading(GPU, context(7)), known=[served()])
    decision = asked(host, by=ADA)
    assert isinstance(decision.reply, Rejected)
    assert decision.reply.why is Refusal.NOT_ALLOWED


def test_no_stray_is_not_adopted() -> None:
    """Infrastructure, and what has a lease or has ended, is not adopted."""
    server = facts(7, 0, name="nvidia-persiste", cgroup=SERVICE)
    host = host_of(reading(GPU, context(7)), known=[server])
    assert refusal(asked(host)) == "process 7 is no stray any more"


def test_two_users_are_refused() -> None:
    """A lease has one holder."""
    known = [served(7), served(8, uid=1001)]
    host = host_of(reading(GPU, context(7), context(8)), known=known)
    assert refusal(asked(host)) == (
        "its processes are of the uids 1000, 1001, and a lease has one holder;"
        " allocate one and `gpusched attach` it"
    )


def test_an_exclusive_lease_is_in_the_way() -> None:
    """A device that a lease has for itself is not shared with what is adopted."""
    host = host_of(known=[])
    lease = host.grant(Request(A, devices=(GPU.uuid,)))
    host.tick(reading(GPU, context(7)), known=[served()])
    assert refusal(asked(host)) == f"{GPU.uuid} is held exclusively by {lease.id}"


@pytest.mark.parametrize("case", ["process", "card"])
def test_memory_that_is_not_known_is_refused(case: str) -> None:
    """Not alone, a process without a figure, or on a card without one, gets no share."""
    memory = UNREADABLE if case == "process" else GIB
    shown = reading(GPU, context(7, memory), context(8))
    if case == "card":
        shown = replace(shown, memory=UNREADABLE)
    host = host_of(shown, known=[served(), served(8, "/system.slice/b.service")])
    assert refusal(asked(host)) == (
        f"how much of {GPU.uuid} it uses is not known, and it is not alone there;"
        " allocate a share and `gpusched attach` it"
    )


def test_alone_its_memory_need_not_be_known() -> None:
    """The whole device is as large as it is."""
    host = host_of(reading(GPU, context(7, UNREADABLE)), known=[served()])
    assert isinstance(asked(host).reply, Underway)


def test_what_leases_were_promised_is_not_given_twice() -> None:
    """What it uses beyond what the book has left is refused: no byte is promised twice."""
    host = host_of(known=[])
    host.grant(Request(A, memory=78 * GIB, devices=(GPU.uuid,)))
    host.tick(reading(GPU, context(7, 3 * GIB)), known=[served()])
    assert refusal(asked(host)) == (
        f"it uses 3 GiB of {GPU.uuid}, and leases have all but 2 GiB of that; revoke one first"
    )


@pytest.mark.parametrize(("own", "refused"), [(7, True), (8, False), (None, False)])
def test_the_daemon_itself_is_never_among_them(own: int | None, refused: bool) -> None:  # noqa: FBT001 - a case
    """Where the daemon is in the unit, or descends from what would be moved, it is refused."""
    for cgroup in (SERVICE, SESSION):
        host = host_of(reading(GPU, context(7)), known=[served(7, cgroup)])
        decision = asked(host, cgroup=cgroup, own=own)
        assert isinstance(decision.reply, Rejected) is refused
        if refused:
            assert refusal(decision).startswith("the daemon itself is among")


def test_one_that_has_moved_is_refused() -> None:
    """What is elsewhere by now may belong to others by now."""
    host = host_of(reading(GPU, context(7)), known=[served()])
    assert refusal(asked(host, cgroup="/system.slice/b.service")) == (
        "process 7 is in /system.slice/b.service by now; adopt it again"
    )


def test_a_cgroup_around_a_lease_is_refused() -> None:
    """The reasons against attaching a cgroup are reasons against adopting it."""
    host = host_of(known=[])
    inner = LeaseCgroup(f"{SERVICE}/inner", 5, made=False)
    lease = host.enter(host.grant(Request(B, devices=(OTHER.uuid,))), 50, inner)
    host.tick(reading(GPU, context(7)), known=[served()])
    assert f"which has the mask of {lease.id}" in refusal(asked(host))


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_unread_device_is_refused(dry_run: bool) -> None:  # noqa: FBT001 - a case
    """While a device's processes are not known, nobody is kept from it by a mask."""
    unread = replace(reading(OTHER), contexts=Unavailable("no permission"))
    host = host_of(reading(GPU, context(7)), unread, known=[served()])
    assert refusal(asked(host, dry_run=dry_run)) == (
        f"what runs on {OTHER.uuid} is not known, and it may use that, too"
    )


def test_a_lost_or_partitioned_device_is_in_nobodys_way() -> None:
    """A card that is lost runs nothing, and of a partitioned one the instances are read."""
    host = host_of(reading(GPU, context(7)), known=[served()])
    host.devices = (GPU, replace(OTHER, mig_enabled=True))
    parent = replace(reading(host.devices[1]), contexts=Unavailable("MIG is on"))
    host.tick(reading(GPU, context(7)), parent, known=[served()])
    assert isinstance(asked(host, dry_run=True).reply, Done)
    host.devices = (GPU,)
    host.tick(reading(GPU, context(7)), known=[served()])
    assert OTHER.uuid in host.ledger.lost
    decision = asked(host)
    assert isinstance(decision.reply, Underway)
    assert any(isinstance(one, LeaseChanged) for one in decision.changes)
