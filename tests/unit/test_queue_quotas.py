"""Requests that wait for a quota: theirs is the wait, and no device is kept for them."""

from dataclasses import replace

from gpusched.core.events import PolicyRead
from gpusched.core.ids import Caller
from gpusched.core.quota import Quotas
from gpusched.core.replies import Queued, Refusal
from gpusched.core.reserving import why_waits
from gpusched.core.tally import Subject
from gpusched.core.waiting import Waiting
from tests.fakes.bounding import bounded, each, group, label, pooled, together, user
from tests.fakes.builders import ADA, BOB, caller, device, labelled
from tests.fakes.host import Host
from tests.fakes.queued_host import let_go, order, wish

THREE = tuple(device(place) for place in range(3))
MEMBER, OTHER = caller(1003, groups=(27,)), caller(1004, groups=(27,))


def quoted(*quotas: Quotas) -> Host:
    """A host of three devices with quotas."""
    return Host(*THREE, policy=bounded(*quotas))


def queue(host: Host, name: str, by: Caller = ADA, **labels: str) -> Waiting:
    """Ask for a device, which has to be waited for."""
    reply = host.ask(replace(wish(name), labels=labelled(**labels)), by).reply
    assert isinstance(reply, Queued), reply
    return reply.waiting


def test_a_full_quota_is_waited_for() -> None:
    """Who may wait does so for his own lease to end, and is then served."""
    host = quoted(user(ADA.uid, devices=1))
    host.grant(wish("held"))
    mine = queue(host, "mine")
    assert why_waits(host.ledger, mine, host.now.instant).sentence.startswith(
        "quota of user user1000: devices: 1 of 1 used, 1 wanted"
    )
    let_go(host, "held")
    assert host.served(mine).uid == ADA.uid


def test_nothing_is_kept_for_who_waits_for_his_quota() -> None:
    """A device that a quota keeps from the first is given to who comes later."""
    host = quoted(user(ADA.uid, devices=1))
    host.grant(wish("held"))
    mine = queue(host, "mine")
    host.grant(wish("first"), BOB)
    host.grant(wish("second"), BOB)
    host.tick()
    assert host.waits(mine)
    theirs = queue(host, "third", BOB)
    let_go(host, "held")
    host.served(mine)
    assert host.waits(theirs)


def test_a_group_is_kept_apart_while_it_waits() -> None:
    """A request that waits is on the account of the groups that its caller had."""
    host = quoted(group(27, devices=1))
    host.grant(wish("held"), MEMBER)
    theirs = queue(host, "theirs", OTHER)
    assert theirs.caller.groups == (27,)
    lease = host.ledger.by_request(MEMBER.uid, wish("held").request_id)
    assert lease is not None
    host.release(lease, MEMBER)
    assert host.served(theirs).groups == (27,)


def test_requests_that_wait_are_counted() -> None:
    """A bound on waiting requests refuses the one that is too many; who leaves makes room."""
    host = quoted(together(each(devices=1, waiting=1), label(("team", "red"), waiting=1)))
    host.grant(wish("held"))
    mine = queue(host, "mine", team="red")
    no = host.refusal(wish("more"))
    assert no.why is Refusal.LATER
    assert no.sentence == (
        "quota of each user: waiting requests: 1 of 1 used, 1 wanted; cancel one of them"
    )
    waiting = host.ledger.waiting
    assert waiting.count_of(Subject("label", ("team", "red"))) == 1
    let_go(host, "held")
    host.served(mine)
    assert waiting.count_of(Subject("uid", ADA.uid)) == 0
    queue(host, "more")


def test_what_a_quota_never_allows_is_not_waited_for() -> None:
    """A request above its quota is refused at once, however long it would wait."""
    host = quoted(user(ADA.uid, devices=1))
    assert host.refusal(wish("two", count=2)).why is Refusal.NEVER_HERE


def test_who_waits_is_named_no_more_than_his_quota_leaves() -> None:
    """The nearest request that would be granted to who waits is within his quotas, too."""
    host = quoted(user(ADA.uid, devices=1))
    host.grant(wish("held"), BOB)
    most = replace(wish("mine", 2), min_count=1, must_include=(THREE[0].uuid,))
    mine = host.queue(most)
    nearest = why_waits(host.ledger, mine, host.now.instant).nearest
    assert nearest is not None
    assert nearest.count == 1
    assert host.would_grant(nearest)


def test_a_larger_quota_serves_who_waits() -> None:
    """When the configuration allows more, whom it concerns is served."""
    host = quoted(user(ADA.uid, devices=1))
    host.grant(wish("held"))
    mine = queue(host, "mine")
    host.do(PolicyRead(bounded(user(ADA.uid, devices=2)), {}))
    host.served(mine)
    assert order(host) == []


def test_a_pool_that_comes_serves_who_waits_for_it() -> None:
    """A device that moves to the pool of one who waits is his."""
    host = Host(*THREE, policy=bounded())
    host.do(PolicyRead(replace(host.ledger.policy, pools=pooled(training=0)), {}))
    request = replace(wish("held"), pool="training")
    host.grant(request)
    mine = host.queue(replace(wish("mine"), pool="training"))
    moved = replace(pooled("training", training=0), by_index={0: "training", 1: "training"})
    host.do(PolicyRead(replace(host.ledger.policy, pools=moved), {}))
    assert host.served(mine).shares[0].device == THREE[1].uuid


def test_who_wants_no_device_waits_for_his_quota_alone() -> None:
    """A lease of no devices is granted once a quota leaves one, whatever the devices are."""
    host = quoted(user(ADA.uid, leases=1))
    host.grant(wish("all", 3), BOB)
    held, first = host.grant(wish("held", 0)), host.queue(wish("first", 0))
    host.queue(wish("one"), BOB)
    host.later(1)
    host.tick()
    assert order(host) == ["first", "one"]
    host.release(held)
    assert host.served(first).shares == ()
    assert order(host) == ["one"]
