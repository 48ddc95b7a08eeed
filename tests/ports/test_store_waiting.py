"""What every store promises of requests that wait."""

from dataclasses import replace

from gpusched.core.changes import WaitingChanged, WaitingGone
from gpusched.core.ids import Instant, LeaseId, Moment, RequestId
from gpusched.core.request import Request
from gpusched.core.waiting import Waiting
from tests.ports.store_worlds import FIRST_BOOT, Start, batch


def test_a_request_waits_until_it_is_gone(start: Start) -> None:
    """A request that waits is kept in its last version, and no longer once it waits no more."""
    asked = Request(RequestId("a"), wait=5)
    moment = Moment(Instant(7), 8)
    waiting = Waiting(
        request=asked,
        uid=1000,
        gid=100,
        user="ann",
        admin=False,
        lease_id=LeaseId("lease-1"),
        arrived=moment,
        number=3,
        rank=4,
        priority="normal",
        groups=(4, 27),
    )
    other = replace(waiting, uid=1001)
    again = replace(waiting, abandoned=Instant(9))
    store = start()
    assert store.load(FIRST_BOOT).waiting == ()
    changes = [WaitingChanged(one) for one in (waiting, other, again)]
    store.commit(batch(*changes))
    stored = start().load(FIRST_BOOT).waiting
    assert sorted(stored, key=lambda one: one.uid) == [again, other]
    store = start()
    store.load(FIRST_BOOT)
    store.commit(batch(WaitingGone(again.key), WaitingGone((1, asked.request_id))))
    assert start().load(FIRST_BOOT).waiting == (other,)
