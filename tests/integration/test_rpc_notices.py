"""Notices on the watch stream: who hears them, and that a slow reader misses none."""

import asyncio
from collections.abc import AsyncIterator

from gpusched.api.v1 import lease_pb2, leases_pb2, request_pb2
from gpusched.core.changes import NoticeGiven
from gpusched.core.ids import Instant, LeaseId
from gpusched.core.ledger import NOTICES_KEPT
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from tests.integration.serving_rpc import Public, another_holds

Watch = leases_pb2.WatchLeasesRequest
_SECONDS = 10


def notify(face: Public, lease: str, *sentences: str) -> None:
    """Give notices to the holder of a lease."""
    now = face.clock.now()
    action, at = NoticeAction.TERMINATE, Instant(now.instant + 1)
    face.authority.become(
        *(
            NoticeGiven(Notice(LeaseId(lease), NoticeKind.OVER_LIMIT, one, now, action, at))
            for one in sentences
        )
    )


async def heard(stream: AsyncIterator[leases_pb2.LeaseList], count: int) -> list[lease_pb2.Notice]:
    """Read lists until so many notices have come."""
    found: list[lease_pb2.Notice] = []
    async with asyncio.timeout(_SECONDS):
        while len(found) < count:
            found += (await anext(stream)).notices
    return found


async def test_a_holder_hears_what_is_told_after_its_watch_began(face: Public) -> None:
    """Each notice comes once, with what follows, in order; one from before does not."""
    grant = await face.leases.Allocate(request_pb2.AllocateRequest())
    notify(face, grant.lease.id, "before")
    stream = aiter(face.leases.Watch(Watch(lease_id=grant.lease.id)))
    await anext(stream)
    notify(face, grant.lease.id, "first")
    (first,) = await heard(stream, 1)
    assert (first.sentence, first.lease_id) == ("first", grant.lease.id)
    assert first.action == lease_pb2.NOTICE_ACTION_TERMINATE
    assert first.action_at.ToNanoseconds() > first.at.ToNanoseconds()
    notify(face, grant.lease.id, "second")
    assert [one.sentence for one in await heard(stream, 1)] == ["second"]


async def test_who_comes_back_hears_what_was_told_meanwhile(face: Public) -> None:
    """A watch that asks for past notices begins with those that the daemon still knows."""
    grant = await face.leases.Allocate(request_pb2.AllocateRequest())
    notify(face, grant.lease.id, "meanwhile", "and then")
    stream = aiter(face.leases.Watch(Watch(lease_id=grant.lease.id, past_notices=True)))
    assert [one.sentence for one in (await anext(stream)).notices] == ["meanwhile", "and then"]
    notify(face, grant.lease.id, "now")
    assert [one.sentence for one in await heard(stream, 1)] == ["now"]


async def test_a_slow_reader_misses_none_of_the_newest(face: Public) -> None:
    """Lists may be left out while it does not read; the newest thousand notices are not."""
    grant = await face.leases.Allocate(request_pb2.AllocateRequest())
    stream = aiter(face.leases.Watch(Watch(lease_id=grant.lease.id)))
    await anext(stream)
    notify(face, grant.lease.id, *map(str, range(NOTICES_KEPT)))
    told = [one.sentence for one in await heard(stream, NOTICES_KEPT)]
    assert told == [str(one) for one in range(NOTICES_KEPT)]


async def test_notices_of_others_are_not_for_everybody(face: Public) -> None:
    """A user who watches all leases hears what concerns its own."""
    grant = await face.leases.Allocate(request_pb2.AllocateRequest())
    theirs = another_holds(face)
    stream = aiter(face.leases.Watch(Watch()))
    await anext(stream)
    notify(face, theirs, "theirs")
    notify(face, grant.lease.id, "mine")
    assert [one.sentence for one in await heard(stream, 1)] == ["mine"]


async def test_an_administrator_hears_all_and_may_hear_its_own_alone(admin_face: Public) -> None:
    """With `mine` the notices are those of the leases that are listed."""
    grant = await admin_face.leases.Allocate(request_pb2.AllocateRequest())
    theirs = another_holds(admin_face)
    every = aiter(admin_face.leases.Watch(Watch()))
    own = aiter(admin_face.leases.Watch(Watch(mine=True)))
    for stream in (every, own):
        await anext(stream)
    notify(admin_face, theirs, "theirs")
    notify(admin_face, grant.lease.id, "mine")
    assert [one.sentence for one in await heard(every, 2)] == ["theirs", "mine"]
    assert [one.sentence for one in await heard(own, 1)] == ["mine"]
