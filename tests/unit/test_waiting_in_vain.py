"""Requests that can never be granted as things are: refused, or told while they wait."""

from dataclasses import replace

import pytest

from gpusched.core.actions import Answer
from gpusched.core.changes import AbilityFound
from gpusched.core.device import Device
from gpusched.core.enforcement import NOT_PROBED
from gpusched.core.events import ExplainRequested, PolicyRead
from gpusched.core.ids import DeviceUuid, RequestId
from gpusched.core.operator_events import CordonRequested
from gpusched.core.outlook import outlook_of
from gpusched.core.policy import Policy
from gpusched.core.replies import Explained, Granted, Queued, Refusal, Rejected
from gpusched.core.request import Enforce, Request
from gpusched.core.reserving import why_waits
from gpusched.core.sizes import GIB
from gpusched.core.waiting import Waiting
from gpusched.core.waits import waits_for
from tests.fakes.bounding import bounded, pooled, user
from tests.fakes.builders import ADA, BOB, ROOT, UNREADABLE, device, memory_of, mig, reading
from tests.fakes.host import MASKING, Host, sentences
from tests.fakes.kernel_builders import RANGES
from tests.fakes.preempting import giving_way, hosting
from tests.fakes.queued_host import let_go, order, wish

GPU, OTHER = device(0), device(1)
UNHELD = (
    "the mask cannot be held, and it is required: it has not been found out yet what this host can"
    " enforce; ask with `preferred` (the default) or `advisory`"
)


def required(name: str, count: int = 1) -> Request:
    """A request that waits, with a mask that has to hold."""
    return replace(wish(name, count), enforce=Enforce.REQUIRED)


def masking(*devices: Device, policy: Policy | None = None) -> Host:
    """A host that can hold masks."""
    return able(Host(*devices, policy=policy))


def able(host: Host) -> Host:
    """The same host once it can hold masks."""
    host.governed = RANGES
    host.apply([AbilityFound(MASKING)])
    host.tick()
    return host


def told(host: Host, waiting: Waiting) -> str:
    """What a request is said to wait for."""
    found = why_waits(host.ledger, waiting, host.now.instant)
    return waits_for(found, host.ledger.policy.others)


@pytest.mark.parametrize("count", [0, 1])
def test_a_mask_that_cannot_be_held_any_more_is_not_granted(count: int) -> None:
    """Who waits for a mask that has to hold is not served by a daemon that cannot hold it."""
    host = masking(GPU, policy=bounded(user(ADA.uid, leases=1)))
    host.grant(Request(wish("held").request_id))
    waiting = host.queue(required("a", count))
    host.apply([AbilityFound(NOT_PROBED)])
    let_go(host, "held")
    assert host.waits(waiting)
    assert told(host, waiting) == f"the host or its configuration to change: {UNHELD}"
    host.grant(wish("b"), BOB)
    host.apply([AbilityFound(MASKING)])
    host.tick()
    assert host.waits(waiting) is (count == 1)


def test_nobody_gives_way_to_who_cannot_be_granted() -> None:
    """No lease is ended for a mask that cannot be held; one that was told so stays."""
    host, _ = hosting("low")
    able(host).queue(replace(required("a"), priority="high"), BOB)
    assert giving_way(host) == ["held-0"]
    host.apply([AbilityFound(NOT_PROBED)])
    host.tick()
    assert giving_way(host) == []


def test_what_can_never_be_held_is_refused_though_a_quota_is_full() -> None:
    """A request is not let wait for its quota that could not be granted then either."""
    host = Host(GPU, policy=bounded(user(ADA.uid, devices=1)))
    host.grant(wish("held"))
    no = host.refusal(required("a"))
    assert (no.why, no.field, no.sentence) == (Refusal.NEVER_HERE, "enforce", UNHELD)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (wish("a", gpu_types=("nvidia-none",)), Refusal.BAD_REQUEST),
        (wish("a", 3), Refusal.NEVER_HERE),
        (wish("a", devices=(DeviceUuid("GPU-none"),)), Refusal.NEVER_HERE),
        (wish("a", memory=1 << 60), Refusal.NEVER_HERE),
    ],
)
def test_what_no_device_can_serve_is_refused_though_a_quota_is_full(
    request_: Request, why: Refusal
) -> None:
    """What can never be had is refused at once, however long it would wait for a quota."""
    host = Host(GPU, OTHER, policy=bounded(user(ADA.uid, leases=1)))
    host.grant(wish("held"))
    no = host.refusal(request_)
    assert no.why is why
    explained = host.do(ExplainRequested(ADA, request_)).reply
    assert isinstance(explained, Explained)
    assert (explained.rejection, explained.arriving) == (no, None)
    host.queue(wish("b", 2))
    host.queue(wish("c", 2))
    host.queue(wish("d", 0))


def test_a_pool_that_is_gone_is_told_to_who_waits_for_it() -> None:
    """Who waits for a pool that the configuration no longer has reads that, and waits on; who
    asks again is refused like who asks anew.
    """
    host = Host(GPU, OTHER, policy=replace(bounded(), pools=pooled(training=0)))
    host.grant(replace(wish("held"), pool="training"))
    waiting = host.queue(replace(wish("a"), pool="training"))
    generation = host.ledger.generation
    host.do(PolicyRead(bounded(), {}))
    assert host.ledger.generation > generation
    why = "pool: there is no pool 'training'; known: default"
    assert told(host, waiting) == f"the host or its configuration to change: {why}"
    assert outlook_of(host.ledger, waiting, host.now.instant).why.sentence == why
    decision = host.ask(waiting.request)
    assert isinstance(decision.reply, Rejected)
    assert (decision.reply.why, decision.reply.sentence) == (Refusal.BAD_REQUEST, why)
    assert decision.actions == (Answer(waiting.key, waiting.lease_id, decision.reply),)
    assert sentences(decision) == [f"waits no longer: {why}"]
    assert order(host) == []
    assert host.refusal(waiting.request) == decision.reply


def test_a_quota_that_shrank_is_told_to_who_asks_again() -> None:
    """Who comes back to a place that his quota allows no more is refused like who asks anew."""
    host = Host(GPU, OTHER, policy=bounded())
    host.grant(wish("held"), BOB)
    waiting = host.queue(wish("a", 2))
    host.do(PolicyRead(bounded(user(ADA.uid, devices=1)), {}))
    assert told(host, waiting).startswith("the host or its configuration to change: quota of user")
    reply = host.ask(waiting.request).reply
    assert isinstance(reply, Rejected)
    assert reply.nearest is not None
    assert host.refusal(waiting.request) == reply


def test_an_instance_that_is_removed_is_told_to_who_waits_for_it() -> None:
    """Instances come and go by the operator's hand: who waits for one reads that there is none,
    and is served when it is there again.
    """
    gpu = replace(GPU, mig_enabled=True)
    instance = mig(gpu, 1)
    assert instance.mig is not None
    profile = instance.mig.profile
    host = Host(gpu, instance, policy=bounded(user(ADA.uid, leases=1)))
    host.grant(Request(wish("held").request_id, count=0))
    waiting = host.queue(replace(wish("a"), mig_profile=profile))
    host.devices = (gpu,)
    host.tick()
    why = f"mig_profile: no device of this host has {profile!r}; it has no MIG instances"
    assert told(host, waiting) == f"the host or its configuration to change: {why}"
    let_go(host, "held")
    assert host.waits(waiting)
    assert told(host, waiting) == f"the host or its configuration to change: {why}"
    assert isinstance(host.ask(waiting.request).reply, Queued)
    host.devices = (gpu, instance)
    host.tick()
    assert host.served(waiting).shares[0].device == instance.uuid


def test_before_the_first_reading_nothing_is_never() -> None:
    """A client that comes back before the driver answers keeps its place."""
    host = masking(GPU)
    host.grant(wish("held"))
    waiting = host.queue(required("a"))
    after = Host()
    after.ledger.restore(list(host.ledger.live()), host.ledger.stories, 0)
    after.ledger.restore_waiting(host.ledger.waiting)
    after.apply([AbilityFound(MASKING)])
    assert isinstance(after.ask(waiting.request).reply, Queued)
    assert not isinstance(after.answers.get(waiting.key), Granted)


@pytest.mark.parametrize("hidden", ["unread", "cordoned", "lost"])
def test_what_is_in_the_way_does_not_hide_that_a_device_is_too_small(hidden: str) -> None:
    """What no device has the memory for is refused at once, whatever else is in the way now."""
    host = Host(GPU, OTHER)
    if hidden == "unread":
        host.later(3600)
    if hidden == "cordoned":
        for one in (GPU, OTHER):
            host.do(CordonRequested(ROOT, one.uuid, "repair"))
    if hidden == "lost":
        host.devices = ()
        host.tick()
    no = host.refusal(wish("a", memory=81 * GIB))
    assert no.why is Refusal.NEVER_HERE
    assert no.sentence == ("1 device wanted, 0 can ever serve: 0, 1: has 80 GiB, 81 GiB wanted")
    waiting = host.queue(wish("b", memory=80 * GIB))
    assert why_waits(host.ledger, waiting, host.now.instant).why is Refusal.LATER


def test_what_a_device_has_for_leases_is_offered_once_it_is_known() -> None:
    """The driver reserves some of a memory: while that is not read, nobody is named a request
    that might turn out to be too much; once it is, what is too much is refused also of a device
    that nobody gets anything of now.
    """
    host = Host(GPU)
    host.tick(replace(reading(GPU), memory=UNREADABLE))
    unread = host.refusal(wish("a", memory=81 * GIB))
    assert (unread.why, unread.nearest) == (Refusal.NEVER_HERE, None)
    known = replace(reading(GPU), memory=memory_of(GPU, reserved=GIB))
    host.tick(known)
    host.do(CordonRequested(ROOT, GPU.uuid, "repair"))
    host.tick(known)
    no = host.refusal(wish("a", memory=80 * GIB))
    assert no.why is Refusal.NEVER_HERE
    assert no.nearest is not None
    assert no.nearest.memory == 79 * GIB


def test_what_is_not_known_of_a_memory_is_no_reason_to_refuse_for_ever() -> None:
    """A device whose memory nobody has read yet may turn out to be large enough."""
    host = Host()
    host.tick(replace(reading(replace(GPU, memory_total=None)), memory=UNREADABLE))
    assert host.refusal(Request(RequestId("a"), memory=81 * GIB)).why is Refusal.LATER
