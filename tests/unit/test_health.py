"""Faults, losses and advice become taints, and go by time, recovery or the operator's word."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gpusched.core.changes import MarksChanged
from gpusched.core.events import Ticked
from gpusched.core.fault import DeviceFault, FaultKind, Recovery
from gpusched.core.health_rules import HealthRules
from gpusched.core.ids import SECOND
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.marks import Taint, TaintEffect
from gpusched.core.notice import NoticeAction, NoticeKind
from gpusched.core.operator_events import UncordonRequested
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sample import LostDevice, NodeSample, Unavailable
from tests.fakes.builders import ROOT, UNREADABLE, A, device, mig
from tests.fakes.host import sentences
from tests.fakes.marked_host import MarkedHost, lost, notices, xid

GPU, OTHER = device(0), device(1)
PATIENT = Policy(max_tick_gap=10_000 * SECOND, max_sample_age=10_000 * SECOND)


def test_a_fault_of_a_program_marks_nothing_and_is_told() -> None:
    """An application's XID is a line of history, equal ones of a sample together."""
    host = MarkedHost(GPU)
    decision = host.look(xid(GPU, 13), xid(GPU, 13), xid(GPU, 31))
    assert host.taints(GPU.uuid) == []
    assert sentences(decision) == [
        "reported XID 13: a fault of the program that ran (2 times)",
        "reported XID 31: a fault of the program that ran",
    ]


def test_a_flood_of_faults_does_not_push_the_history_out() -> None:
    """The same fault is told again only after a while; another one is told at once."""
    host = MarkedHost(GPU, OTHER, policy=PATIENT)
    host.look(xid(GPU, 13))
    host.later(1)
    assert sentences(host.look(xid(GPU, 13))) == []
    assert len(sentences(host.look(xid(GPU, 43), xid(OTHER, 13)))) == 2
    host.later(600)
    assert len(sentences(host.look(xid(GPU, 13)))) == 1
    corrected = DeviceFault(GPU.uuid, FaultKind.ECC_CORRECTED)
    assert sentences(host.look(corrected)) == ["reported corrected ECC error"]


def test_a_soft_fault_goes_by_time() -> None:
    """A soft taint stays for the configured time after the last such fault, and is told once."""
    host = MarkedHost(GPU, policy=PATIENT)
    since = host.now
    told = sentences(host.look(xid(GPU, 63)))
    assert told == ["tainted xid-63 (no-schedule): XID 63"]
    host.later(500)
    assert sentences(host.look(xid(GPU, 63))) == []
    (taint,) = host.ledger.marks_of(GPU.uuid).taints
    assert (taint.at, taint.clears) == (since, host.now.instant + 600 * SECOND)
    host.later(599)
    assert host.look().changes[1:] == ()
    host.later(1)
    assert sentences(host.look()) == [
        "taint xid-63 cleared: no such fault was reported since",
    ]
    assert host.ledger.marks == {}


def test_time_clears_also_while_nothing_is_read() -> None:
    """A soft taint does not outlive its time because the driver does not answer."""
    host = MarkedHost(GPU, policy=PATIENT)
    host.look(xid(GPU, 63))
    host.later(600)
    host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    assert host.taints(GPU.uuid) == []


def test_what_is_not_read_clears_nothing_else() -> None:
    """A hard taint stays through readings that fail, of the device and of all."""
    host = MarkedHost(GPU, OTHER)
    host.look(xid(GPU, 48))
    host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    host.look(gone=[lost(GPU, None)])
    host.look(advice=Unavailable("Not Supported"))
    assert host.taints(GPU.uuid) == ["xid-48"]


def test_a_hard_fault_stays_until_uncordon() -> None:
    """Without advice of the driver only the operator knows that the fault is gone."""
    host = MarkedHost(GPU, policy=PATIENT)
    host.look(xid(GPU, 48), xid(GPU, 48))
    host.later(5000)
    host.look()
    (taint,) = host.ledger.marks_of(GPU.uuid).taints
    assert (taint.key, taint.clears, taint.recovery) == ("xid-48", None, "reset the GPU")
    told = sentences(host.do(UncordonRequested(ROOT, GPU.uuid)))
    assert told == ["taint xid-48 cleared: user0 uncordoned it"]
    assert host.ledger.marks == {}


def test_a_lost_gpu_that_answers_again_has_recovered() -> None:
    """Losing a GPU marks it and no other; with its return every lasting taint of it goes."""
    host = MarkedHost(GPU, OTHER)
    lease = host.attach(host.grant(Request(A, devices=(GPU.uuid,))), 50)
    decision = host.look(xid(GPU, 79), xid(GPU, 63), xid(OTHER, 48), gone=[lost(GPU)])
    assert host.taints(GPU.uuid) == ["lost", "xid-79", "xid-63"]
    assert "tainted lost (no-schedule): GPU is lost" in sentences(decision)
    kept = [one.lease for one in notices(decision)]
    assert kept == [lease.id, lease.id, lease.id]
    assert sentences(host.look(gone=[lost(GPU)])) == []
    told = sentences(host.look())
    assert "taint xid-79 cleared: it answers again" in told
    assert host.taints(GPU.uuid) == ["xid-63"]
    assert host.taints(OTHER.uuid) == ["xid-48"]
    assert host.lease(lease.id).state is LeaseState.ACTIVE


def test_a_gpu_that_answers_for_another_reason_has_not_recovered() -> None:
    """A GPU that could only not be read was not lost, and its return clears nothing."""
    host = MarkedHost(GPU)
    host.look(xid(GPU, 48), gone=[lost(GPU, None)])
    host.look()
    assert host.taints(GPU.uuid) == ["xid-48"]


def test_a_gpu_that_does_not_answer_and_then_is_lost() -> None:
    """One that could only not be read at first is marked as soon as NVML says that it is lost."""
    host = MarkedHost(GPU, OTHER)
    host.look(gone=[LostDevice(0, GPU.uuid, "Unknown Error")])
    assert host.taints(GPU.uuid) == []
    host.look(gone=[lost(GPU)])
    assert host.taints(GPU.uuid) == ["lost"]
    host.do(UncordonRequested(ROOT, GPU.uuid))
    host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    host.look(without=[GPU])
    assert host.taints(GPU.uuid) == []


def test_a_gpu_that_comes_back_and_still_asks_for_a_reset_keeps_its_faults() -> None:
    """Only that it was lost is over."""
    host = MarkedHost(GPU)
    host.look(xid(GPU, 79), gone=[lost(GPU)])
    host.look(advice=Recovery.RESET)
    assert host.taints(GPU.uuid) == ["xid-79", "recovery-action"]
    host.look()
    assert host.taints(GPU.uuid) == []


def test_a_gpu_that_comes_back_and_cannot_be_asked_keeps_what_it_asked_for() -> None:
    """An action that the driver asked for is over only when it says so."""
    host = MarkedHost(GPU)
    host.look(xid(GPU, 48), advice=Recovery.RESET)
    host.look(gone=[lost(GPU)])
    host.look(advice=Unavailable("Unknown Error"))
    assert host.taints(GPU.uuid) == ["recovery-action", "xid-48"]
    host.look()
    assert host.taints(GPU.uuid) == []


def test_a_gpu_that_is_counted_no_more_is_lost() -> None:
    """One that vanished is marked, unless some that are counted have no name: it may be one."""
    host = MarkedHost(GPU, OTHER, mig(OTHER))
    nameless = LostDevice(0, None, "GPU is lost", Recovery.REBOOT)
    host.look(without=[GPU, OTHER, mig(OTHER)], gone=[nameless])
    assert (host.taints(GPU.uuid), host.taints(OTHER.uuid)) == ([], [])
    assert host.ledger.lost[GPU.uuid] == "it is not among the GPUs that answer"
    host.look()
    host.look(without=[GPU])
    (taint,) = host.ledger.marks_of(GPU.uuid).taints
    assert (taint.key, taint.reason, taint.recovery) == ("lost", "it is not there any more", "")
    host.look()
    assert host.taints(GPU.uuid) == []


def test_advice_is_a_mark_until_it_is_withdrawn() -> None:
    """While the driver asks for an action the device is marked; with the action all is over."""
    host = MarkedHost(GPU)
    host.look(xid(GPU, 48), advice=Recovery.RESET)
    assert host.taints(GPU.uuid) == ["recovery-action", "xid-48"]
    assert sentences(host.look(advice=Recovery.RESET)) == []
    assert len(sentences(host.look(advice=Recovery.DRAIN_AND_RESET))) == 0
    (taint, _) = host.ledger.marks_of(GPU.uuid).taints
    assert taint.recovery == "end all work on the GPU, then reset it"
    told = sentences(host.look())
    assert "taint xid-48 cleared: the driver asks for no action any more" in told
    assert host.taints(GPU.uuid) == []


@pytest.mark.parametrize(
    "again",
    [lambda host: host.look(gone=[lost(GPU)]), lambda host: host.look(advice=Recovery.RESET)],
)
def test_the_operators_word_outlives_what_lasts(again: Callable[[MarkedHost], object]) -> None:
    """What was uncordoned is not marked again by what has not changed since, nor after a reading
    that failed.
    """
    host = MarkedHost(GPU, OTHER)
    again(host)
    assert host.taints(GPU.uuid) != []
    host.do(UncordonRequested(ROOT, GPU.uuid))
    again(host)
    host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    again(host)
    assert host.taints(GPU.uuid) == []


def test_an_effect_of_none_is_only_shown() -> None:
    """It is told and shown, nobody is given notice, and devices are granted."""
    host = MarkedHost(GPU, policy=Policy(health=HealthRules(hard=TaintEffect.NONE)))
    host.attach(host.grant(Request(A, memory=1)), 50)
    decision = host.look(xid(GPU, 48))
    assert notices(decision) == []
    assert sentences(decision) == ["tainted xid-48 (none): XID 48: double-bit ECC error"]
    host.grant(Request(A, memory=1), ROOT)


def test_a_device_that_fails_is_told_to_its_holders() -> None:
    """Where nothing follows the notice says that, and the leases go on."""
    host = MarkedHost(GPU, OTHER)
    lease = host.attach(host.grant(Request(A, devices=(GPU.uuid,))), 50)
    (notice,) = notices(host.look(xid(GPU, 48)))
    assert (notice.lease, notice.kind, notice.action, notice.action_at) == (
        lease.id,
        NoticeKind.DEVICE_FAILING,
        NoticeAction.NOTHING,
        None,
    )
    assert notice.sentence == f"{GPU.uuid} fails: XID 48: double-bit ECC error"
    assert host.lease(lease.id).state is LeaseState.ACTIVE


def test_evict_ends_leases_after_a_notice_and_the_grace() -> None:
    """The holders are told when; then the leases on the device end, and no others."""
    rules = HealthRules(hard=TaintEffect.EVICT)
    host = MarkedHost(GPU, OTHER, policy=replace(PATIENT, health=rules, grace=5 * SECOND))
    lease = host.attach(host.grant(Request(A, devices=(GPU.uuid,))), 50)
    beside = host.grant(Request(A, devices=(OTHER.uuid,)), ROOT)
    (notice,) = notices(host.look(xid(GPU, 48)))
    assert (notice.action, notice.action_at) == (
        NoticeAction.END,
        host.now.instant + 5 * SECOND,
    )
    host.later(4)
    host.look()
    assert host.lease(lease.id).state is LeaseState.ACTIVE
    host.later(1)
    decision = host.look()
    ended = host.lease(lease.id)
    assert (ended.state, ended.reason) == (LeaseState.RELEASING, EndReason.DEVICE_FAILED)
    assert ended.detail == "XID 48: double-bit ECC error"
    assert "its device failed" in sentences(decision)[0]
    assert host.lease(beside.id).live


def test_another_effect_begins_anew() -> None:
    """A taint whose effect was configured anew gives notice again, and counts from then."""
    host = MarkedHost(GPU, policy=PATIENT)
    host.look(xid(GPU, 48))
    host.later(100)
    host.ledger.policy = replace(PATIENT, health=HealthRules(hard=TaintEffect.EVICT))
    host.look(xid(GPU, 48))
    (taint,) = host.ledger.marks_of(GPU.uuid).taints
    assert (taint.effect, taint.at) == (TaintEffect.EVICT, host.now)


def test_marks_change_at_most_once_a_tick() -> None:
    """However much is reported of a device, its row is written once."""
    host = MarkedHost(GPU)
    host.apply([MarksChanged(GPU.uuid, host.ledger.marks_of(GPU.uuid))])
    decision = host.look(xid(GPU, 48), xid(GPU, 63), xid(GPU, 64), advice=Recovery.RESET)
    changed = [one for one in decision.changes if isinstance(one, MarksChanged)]
    assert len(changed) == 1
    assert isinstance(changed[0].marks.taints[0], Taint)


def test_faults_of_a_tick_after_a_sleep_are_kept() -> None:
    """The tick that finds that the host slept ends nothing, but forgets no fault."""
    host = MarkedHost(GPU)
    host.grant(Request(A))
    host.later(3600)
    host.look(xid(GPU, 48))
    assert host.taints(GPU.uuid) == ["xid-48"]
