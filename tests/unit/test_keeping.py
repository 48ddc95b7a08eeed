"""Who is looked at when something may be free: few, however many wait."""

from dataclasses import replace

from gpusched.core.ids import RequestId
from gpusched.core.keeping import Walk, everything, stirred
from gpusched.core.preferences import Sharing
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from tests.fakes.builders import ADA, BOB, L4, device, labelled
from tests.fakes.host import Host, places
from tests.fakes.queued_host import host_of, wish

ONE, TWO, SMALL = device(0), device(1), device(2, L4, 24 * GIB)


def looked_at(host: Host) -> int:
    """How many requests a turn looks at."""
    now = host.now.instant
    return len(list(Walk(host.ledger, stirred(host.ledger, now), now)))


def test_of_those_who_wish_the_same_few_are_looked_at() -> None:
    """Requests that differ only in their labels, or in how long they last, are not looked at one
    by one where there is nothing for any of them: not even while another device is idle.
    """
    host = host_of(ONE, TWO, SMALL)
    for place in range(2):
        host.grant(Request(RequestId(f"held-{place}"), memory=60 * GIB))
    for job in range(20):
        asked = replace(wish(f"job-{job}", memory=40 * GIB), labels=labelled(job=str(job)))
        host.queue(asked, (ADA, BOB)[job % 2])
    assert looked_at(host) == 3
    now = host.now.instant
    assert len(list(Walk(host.ledger, everything(host.ledger), now))) == 3


def test_what_only_one_user_may_have_he_gets() -> None:
    """A device that is taken for others may be free for whose leases are there."""
    host = host_of(ONE, SMALL)
    own = Request(RequestId("own"), memory=40 * GIB, sharing=Sharing.OWN, devices=(ONE.uuid,))
    held = host.grant(own)
    host.grant(Request(RequestId("rest"), memory=30 * GIB, devices=(ONE.uuid,)))
    more = wish("more", memory=30 * GIB)
    waiting = [host.queue(more, BOB), host.queue(replace(more, request_id=RequestId("b")))]
    host.release(held)
    assert places(host.served(waiting[0])) == [ONE.uuid]
    assert host.waits(waiting[1])
