"""An operator's verbs on devices and the driver: who may, what follows, and what a repeat does."""

from dataclasses import replace

import pytest

from gpusched.core.actions import ReleaseDriver, ResumeDriver, TakeSample
from gpusched.core.changes import DriverReleased, MarksChanged
from gpusched.core.events import Recovered, Ticked
from gpusched.core.ids import SECOND, BootId, DeviceUuid
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.marks import Taint, TaintEffect
from gpusched.core.notice import NoticeAction, NoticeKind
from gpusched.core.operator_events import (
    CordonRequested,
    DrainRequested,
    OperatorEvent,
    ReleaseDriverRequested,
    ResumeDriverRequested,
    UncordonRequested,
)
from gpusched.core.policy import Policy
from gpusched.core.replies import NOT_ADMIN, Done, Obstacle, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample
from gpusched.core.ticking import next_deadline
from tests.fakes.builders import ADA, BOB, ROOT, UNREADABLE, A, B, C, device, mig
from tests.fakes.host import sentences
from tests.fakes.marked_host import MarkedHost, notices, xid

GPU, OTHER = device(0), device(1)
PATIENT = Policy(max_tick_gap=10_000 * SECOND, max_sample_age=10_000 * SECOND)
CORDON = CordonRequested(ROOT, GPU.uuid, "fan is loud")
DRAIN = DrainRequested(ROOT, GPU.uuid, "replace it", time=60 * SECOND)
NAMED = replace(ROOT, user="")


@pytest.mark.parametrize(
    "event",
    [
        CordonRequested(ADA, GPU.uuid, "mine"),
        UncordonRequested(ADA, GPU.uuid),
        DrainRequested(ADA, GPU.uuid, "mine"),
        ReleaseDriverRequested(ADA, "mine"),
        ResumeDriverRequested(ADA),
    ],
)
def test_only_administrators_mark(event: OperatorEvent) -> None:
    """Nobody else changes a mark, or the driver."""
    decision = MarkedHost(GPU).do(event)
    assert (decision.changes, decision.actions, decision.reply) == ((), (), NOT_ADMIN)


@pytest.mark.parametrize(
    "event", [replace(CORDON, reason=" "), DrainRequested(ROOT, GPU.uuid, "")]
)
def test_a_reason_is_mandatory(event: OperatorEvent) -> None:
    """A mark without a reason is a bad request."""
    reply = MarkedHost(GPU).do(event).reply
    assert isinstance(reply, Rejected)
    assert (reply.why, reply.field) == (Refusal.BAD_REQUEST, "reason")


def test_a_cordon_keeps_new_leases_away_and_leaves_those_there() -> None:
    """The verdict says who, why and since when; another device is granted."""
    host = MarkedHost(GPU, OTHER)
    lease = host.attach(host.grant(Request(A, memory=1, devices=(GPU.uuid,))), 50)
    since = host.now
    decision = host.do(CORDON)
    assert sentences(decision) == ["cordoned by user0: fan is loud"]
    host.later(10)
    host.look()
    (verdict, _) = host.refusal(Request(B, count=2)).verdicts
    assert (verdict.obstacle, verdict.since) == (Obstacle.CORDONED, since)
    assert verdict.sentence == "cordoned by user0 10s ago: fan is loud"
    assert host.lease(lease.id).state is LeaseState.ACTIVE
    assert [one.device for one in host.grant(Request(C)).shares] == [OTHER.uuid]


def test_cordoning_the_cordoned_changes_nothing() -> None:
    """Another reason replaces the first; a drain keeps its deadline."""
    host = MarkedHost(GPU)
    host.do(CORDON)
    again = host.do(CORDON)
    assert again.changes == ()
    assert again.reply == Done((), f"{GPU.uuid} is cordoned already")
    host.do(DRAIN)
    host.do(replace(CORDON, reason="smoke"))
    cordon = host.ledger.marks_of(GPU.uuid).cordon
    assert cordon is not None
    assert (cordon.reason, cordon.deadline) == ("smoke", host.now.instant + 60 * SECOND)


def test_a_gpu_is_cordoned_with_its_instances() -> None:
    """The mark of a GPU holds for its MIG instances, that of an instance for it alone."""
    gpu = replace(GPU, mig_enabled=True)
    first, second = mig(gpu, 1), mig(gpu, 2)
    host = MarkedHost(gpu, first, second)
    wish = Request(A, count=2, mig_profile="4g.40gb")
    host.do(replace(CORDON, device=first.uuid))
    assert [one.obstacle for one in host.refusal(wish).verdicts] == [
        Obstacle.PARTITIONED,
        Obstacle.CORDONED,
        None,
    ]
    host.do(CORDON)
    verdicts = host.refusal(wish).verdicts
    assert [one.obstacle for one in verdicts[1:]] == [Obstacle.CORDONED] * 2
    host.do(UncordonRequested(ROOT, first.uuid))
    host.do(UncordonRequested(ROOT, gpu.uuid))
    lease = host.grant(wish)
    host.do(replace(DRAIN, device=gpu.uuid, time=0))
    host.look()
    assert host.lease(lease.id).reason is EndReason.DRAINED


def test_a_drain_ends_leases_at_its_deadline() -> None:
    """The holders are told at once; at the deadline the leases end, with the operator's reason."""
    host = MarkedHost(GPU, OTHER, policy=PATIENT)
    lease = host.attach(host.grant(Request(A, devices=(GPU.uuid,))), 50)
    beside = host.grant(Request(A, devices=(OTHER.uuid,)), BOB)
    decision = host.do(DRAIN)
    (notice,) = notices(decision)
    deadline = host.now.instant + 60 * SECOND
    assert (notice.kind, notice.action, notice.action_at) == (
        NoticeKind.DRAIN,
        NoticeAction.END,
        deadline,
    )
    assert sentences(decision) == ["drained by user0: replace it"]
    assert decision.actions == (TakeSample(),)
    assert isinstance(decision.reply, Done)
    assert [one.id for one in decision.reply.leases] == [lease.id]
    assert next_deadline(host.ledger) == deadline
    host.later(59)
    host.look()
    assert host.lease(lease.id).state is LeaseState.ACTIVE
    host.later(1)
    assert "its device was drained: replace it" in sentences(host.look())[0]
    assert host.lease(lease.id).reason is EndReason.DRAINED
    assert host.lease(beside.id).live
    (verdict, _) = host.refusal(Request(C, count=2)).verdicts
    assert verdict.sentence.startswith("drained by user0 1m ago: replace it")


def test_a_drain_without_a_time_takes_the_configured_one() -> None:
    """A repeat leaves the deadline where it was; a time that is said moves it."""
    host = MarkedHost(GPU, policy=replace(PATIENT, drain_deadline=30 * SECOND))
    first = host.now.instant + 30 * SECOND
    wish = DrainRequested(NAMED, GPU.uuid, "replace it")
    assert sentences(host.do(wish)) == ["drained by uid 0: replace it"]
    host.later(10)
    again = host.do(wish)
    assert again.changes == ()
    assert again.reply == Done((), f"{GPU.uuid} is drained already")
    cordon = host.ledger.marks_of(GPU.uuid).cordon
    assert cordon is not None
    assert cordon.deadline == first
    host.do(replace(wish, time=SECOND, signal_in_place=True))
    cordon = host.ledger.marks_of(GPU.uuid).cordon
    assert cordon is not None
    assert (cordon.deadline, cordon.in_place) == (host.now.instant + SECOND, True)


def test_a_cordon_becomes_a_drain() -> None:
    """Draining what is cordoned adds the deadline."""
    host = MarkedHost(GPU)
    host.do(CORDON)
    assert len(host.do(replace(DRAIN, reason="fan is loud")).changes) == 2


def test_uncordon_takes_everything_off() -> None:
    """Cordon, drain and taints go; where there is none, nothing changes."""
    host = MarkedHost(GPU)
    host.look(xid(GPU, 48))
    host.do(DRAIN)
    told = sentences(host.do(UncordonRequested(NAMED, GPU.uuid)))
    assert told == ["uncordoned by uid 0", "taint xid-48 cleared: uid 0 uncordoned it"]
    again = host.do(UncordonRequested(ROOT, GPU.uuid))
    assert (again.changes, again.reply) == ((), Done((), f"{GPU.uuid} has no mark"))
    host.grant(Request(A))


def test_a_tainted_device_says_what_helps() -> None:
    """The verdict names every fault, how long it stays and what helps; a lost one says lost."""
    host = MarkedHost(GPU)
    host.look(xid(GPU, 48), xid(GPU, 63))
    host.later(1)
    (verdict,) = host.refusal(Request(A)).verdicts
    assert verdict.obstacle is Obstacle.TAINTED
    assert verdict.sentence == (
        "tainted 1s ago: XID 48: double-bit ECC error (what helps: reset the GPU);"
        " tainted 1s ago: XID 63 (clears in 9m59s)"
    )
    host.later(601)  # no tick yet that takes it off
    assert host.refusal(Request(A)).verdicts[0].sentence.endswith("XID 63 (clears in 0s)")
    host.look(without=[GPU])
    (verdict,) = host.refusal(Request(A)).verdicts
    assert verdict.obstacle is Obstacle.LOST


def test_a_driver_that_is_let_go_grants_nothing() -> None:
    """Leases stand, new ones wait, and a repeat changes nothing; then it is taken up again."""
    host = MarkedHost(GPU)
    lease = host.attach(host.grant(Request(A, memory=1)), 50)
    decision = host.do(ReleaseDriverRequested(ROOT, "upgrade"))
    assert decision.actions == (ReleaseDriver(),)
    assert sentences(decision) == ["the driver was let go by user0: upgrade"]
    assert host.do(ReleaseDriverRequested(ROOT)).changes == ()
    host.later(1)
    host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    refusal = host.refusal(Request(B, memory=1))
    assert refusal.why is Refusal.LATER
    assert refusal.verdicts[0].obstacle is Obstacle.RELEASED
    assert refusal.verdicts[0].sentence == (
        "the driver has been let go: upgrade; `gpusched nvml resume` takes it up again"
    )
    host.grant(Request(B, count=0))
    assert host.lease(lease.id).state is LeaseState.ACTIVE
    resumed = host.do(ResumeDriverRequested(NAMED))
    assert resumed.actions == (ResumeDriver(), TakeSample())
    assert sentences(resumed) == ["the driver is taken up again by uid 0"]
    assert host.do(ResumeDriverRequested(ROOT)).changes == ()
    host.look()
    host.grant(Request(C, memory=1))


def test_a_daemon_that_starts_without_the_driver_does_not_say_never() -> None:
    """What this host has is not known then: a request may fit later."""
    host = MarkedHost()
    assert sentences(host.do(ReleaseDriverRequested(NAMED))) == [
        "the driver was let go by uid 0",
    ]
    refusal = host.refusal(Request(A))
    assert refusal.why is Refusal.LATER
    assert refusal.sentence == (
        "the driver has been let go; `gpusched nvml resume` takes it up again"
    )


def _recovered(stored: str, boot: str) -> Recovered:
    return Recovered(BootId(stored), BootId(boot), None, "1")


def test_a_restart_keeps_marks_and_lets_the_driver_go() -> None:
    """The daemon's own restart changes nothing of what an operator said."""
    host = MarkedHost(GPU)
    host.do(CORDON)
    host.do(ReleaseDriverRequested(ROOT))
    decision = host.do(_recovered("one", "one"))
    assert decision.actions == (ReleaseDriver(),)
    assert host.ledger.marks_of(GPU.uuid).cordon is not None
    assert host.ledger.released == ""


def test_a_boot_clears_taints_and_takes_the_driver_up() -> None:
    """The GPUs were started anew; cordons stand, and their times are those of this boot."""
    host = MarkedHost(GPU, OTHER, policy=PATIENT)
    host.look(xid(GPU, 48), xid(OTHER, 48))
    host.do(replace(DRAIN, time=100 * SECOND))
    host.do(CordonRequested(ROOT, DeviceUuid("GPU-absent"), "slot 3"))
    host.do(ReleaseDriverRequested(ROOT))
    before = host.ledger.marks_of(GPU.uuid).cordon
    assert before is not None
    host.now = replace(host.now, wall=host.now.wall + 30 * SECOND)
    decision = host.do(_recovered("one", "two"))
    assert DriverReleased(None) in decision.changes
    assert ReleaseDriver() not in decision.actions
    after = host.ledger.marks_of(GPU.uuid)
    assert (after.taints, host.ledger.marks.get(OTHER.uuid)) == ((), None)
    assert after.cordon is not None
    assert after.cordon.at.instant == host.now.instant - 30 * SECOND
    assert after.cordon.deadline == host.now.instant + 70 * SECOND
    assert host.ledger.marks_of(DeviceUuid("GPU-absent")).cordon is not None
    assert sum("cleared: a boot" in one for one in sentences(decision)) == 2
    assert "the driver is taken up again by a boot" in sentences(decision)


def test_a_taint_that_is_no_eviction_ends_nothing() -> None:
    """Only EVICT ends leases, however old the taint is."""
    host = MarkedHost(GPU, policy=PATIENT)
    lease = host.grant(Request(A, attach_deadline=5000 * SECOND))
    taint = Taint("x", TaintEffect.NO_SCHEDULE, "because", host.now)
    marks = replace(host.ledger.marks_of(GPU.uuid), taints=(taint,))
    host.apply([MarksChanged(GPU.uuid, marks)])
    host.later(1000)
    host.look()
    assert host.lease(lease.id).live


def test_a_tick_is_due_at_a_drain_only() -> None:
    """A taint or a cordon has no deadline of its own: the next ordinary tick is enough."""
    host = MarkedHost(GPU, OTHER)
    host.look(xid(OTHER, 63))
    host.do(CORDON)
    assert next_deadline(host.ledger) is None
    host.do(DRAIN)
    assert next_deadline(host.ledger) == host.now.instant + 60 * SECOND
