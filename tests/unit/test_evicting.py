"""Strays: told, avoided or evicted, a step at a time."""

from dataclasses import replace

import pytest

from gpusched.core.actions import SignalProcess
from gpusched.core.changes import StoryTold
from gpusched.core.events import Ticked
from gpusched.core.evicting import signal_failed
from gpusched.core.ids import Instant, ProcessId
from gpusched.core.request import Request
from gpusched.core.sample import LostDevice, NodeSample, ProcessFacts
from gpusched.core.stray import StrayPolicy, StrayRules, StrayStep
from gpusched.core.stray_events import SignalFailed
from gpusched.core.ticking import next_deadline
from tests.fakes.builders import (
    UNREADABLE,
    A,
    context,
    mig,
    process,
    reading,
)
from tests.fakes.strays import EVICT, GPU, ONE, OTHER, host_with, on, ruled, seen, stray, told

TERM, KILL = SignalProcess(process(7), kill=False), SignalProcess(process(7), kill=True)
WARNING = (
    "process 7 (python, uid 1000, 1 GiB) uses it without a lease, and strays are evicted here:"
    " it is sent SIGTERM in 10s unless it ends, or `gpusched adopt 7`"
)


def test_the_ladder() -> None:
    """Told with the reason; after the grace SIGTERM; after the grace SIGKILL; then nothing."""
    host = host_with(EVICT)
    first = seen(host, ONE)
    assert (told(first), first.actions) == ([WARNING], ())
    assert stray(host).deadline == next_deadline(host.ledger) == host.now.instant + EVICT.grace
    host.later(9.999)
    assert (told(waiting := seen(host, ONE)), waiting.actions) == ([], ())
    host.later(0.001)
    second = seen(host, ONE)
    assert second.actions == (TERM,)
    assert told(second) == [
        "process 7 (python, uid 1000, 1 GiB) has no lease and is sent SIGTERM, and SIGKILL in 10s"
    ]
    host.later(10)
    third = seen(host, ONE)
    assert third.actions == (KILL,)
    assert told(third) == ["process 7 (python, uid 1000, 1 GiB) has no lease and is sent SIGKILL"]
    host.later(60)
    assert (told(last := seen(host, ONE)), last.actions) == ([], ())
    assert told(seen(host)) == ["process 7, which had no lease, has left it"]
    assert host.ledger.strays == {}


def test_what_is_told_says_it_for_programs_too() -> None:
    """Each line is about the device, with pid, uid, bytes, policy, step and deadline."""
    host = host_with(EVICT)
    (line,) = [one.line for one in seen(host, ONE).changes if isinstance(one, StoryTold)]
    assert line.entity == GPU.uuid
    assert line.data == {
        "pid": "7",
        "uid": "1000",
        "bytes": str(1 << 30),
        "devices": GPU.uuid,
        "policy": "evict",
        "step": "warned",
        "deadline": str((host.now.wall + EVICT.grace) // 10**9),
    }


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (StrayPolicy.REPORT, "reported, and in nobody's way"),
        (StrayPolicy.AVOID, "avoided"),
    ],
)
def test_reported_and_avoided_are_told_once(policy: StrayPolicy, words: str) -> None:
    """A stray that is not evicted is told when it comes and when it goes, and left alone."""
    host = host_with(StrayRules(policy))
    assert told(seen(host, ONE)) == [
        (
            f"process 7 (python, uid 1000, 1 GiB) uses it without a lease: {words};"
            " `gpusched adopt 7` gives it one"
        )
    ]
    host.later(500)
    again = seen(host, ONE)
    assert (told(again), again.actions, stray(host).step) == ([], (), StrayStep.NONE)
    assert next_deadline(host.ledger) is None


def test_one_whose_memory_is_not_known() -> None:
    """A figure that cannot be read is not told, as nothing else."""
    host = host_with(StrayRules())
    decision = host.tick(reading(GPU, context(7, UNREADABLE)), known=[ONE])
    assert told(decision)[0].startswith("process 7 (python, uid 1000) uses it")


def test_the_next_owner_of_a_pid_is_another() -> None:
    """A process with the pid of one that was warned begins at the beginning."""
    host = host_with(EVICT)
    seen(host, ONE)
    host.later(20)
    other = replace(ONE, identity=ProcessId(7, 999))
    decision = seen(host, other)
    assert decision.actions == ()
    assert told(decision) == [WARNING, "process 7, which had no lease, has left it"]


def test_one_that_comes_under_a_lease() -> None:
    """A stray that is attached is none any more, and nothing comes of its warning."""
    host = host_with(EVICT)
    seen(host, ONE)
    lease = host.attach(host.grant(Request(A, memory=1 << 30)), 7)
    host.later(20)
    decision = host.tick(on(ONE), known=[ONE], members={lease.id: frozenset({process(7)})})
    assert told(decision) == [f"process 7 is no stray any more: of {lease.id}"]
    assert decision.actions == ()


def test_a_host_that_slept_gives_strays_their_time_back() -> None:
    """What was due during a sleep of the host is due as much later."""
    host = host_with(EVICT)
    seen(host, ONE)
    due = stray(host).deadline
    assert due is not None
    host.later(5000)
    decision = seen(host, ONE)
    assert decision.actions == ()
    assert stray(host).deadline == Instant(due + 5000 * 10**9)


@pytest.mark.parametrize("blind", ["nothing read", "not identified"])
def test_also_by_a_sample_that_does_not_show_them(blind: str) -> None:
    """Who slept with the host has its time back whatever the first sample after that can read."""
    host = host_with(EVICT)
    seen(host, ONE)
    host.later(10)
    assert seen(host, ONE).actions == (TERM,)
    host.later(5000)
    if blind == "nothing read":
        host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    else:
        host.tick(on(ONE))
    host.later(9)
    assert seen(host, ONE).actions == ()
    host.later(1)
    assert seen(host, ONE).actions == (KILL,)


def test_one_that_comes_after_a_sleep_has_its_grace_and_no_more() -> None:
    """Who was not there before a sleep has no time to get back."""
    host = host_with(EVICT)
    host.later(5000)
    seen(host, ONE)
    assert stray(host).deadline == host.now.instant + EVICT.grace


def test_a_dry_run_only_tells() -> None:
    """With `dry_run` every step is told as what would be, and nobody is signalled."""
    host = host_with(replace(EVICT, dry_run=True))
    lines = told(seen(host, ONE))
    for _ in range(3):
        host.later(10)
        decision = seen(host, ONE)
        assert decision.actions == ()
        lines += told(decision)
    assert [("would be sent" in one) for one in lines] == [True, True, True]
    ruled(host, EVICT)
    assert told(seen(host, ONE)) == [WARNING]
    host.later(10)
    assert seen(host, ONE).actions == (TERM,)


def test_rules_that_change() -> None:
    """Other rules hold at once: who was to be evicted is let alone, and the other way round."""
    host = host_with(EVICT)
    seen(host, ONE)
    ruled(host, StrayRules())
    assert told(seen(host, ONE)) == [
        "process 7 is not evicted any more: strays are to avoid here now"
    ]
    assert stray(host).deadline is None
    ruled(host, replace(EVICT, spare_uids=(1000,)))
    assert told(seen(host, ONE)) == []
    ruled(host, EVICT)
    assert told(seen(host, ONE)) == [WARNING]
    ruled(host, replace(EVICT, spare_uids=(1000,)))
    assert told(seen(host, ONE)) == [
        "process 7 is not evicted any more: uid 1000 is in `strays.spare_uids`"
    ]


def test_the_strictest_policy_of_its_devices() -> None:
    """A device may have a policy, a GPU's holds for its instances, and the strictest counts."""
    part = mig(OTHER)
    rules = StrayRules(
        StrayPolicy.REPORT,
        {GPU.uuid: StrayPolicy.AVOID, OTHER.uuid: StrayPolicy.EVICT},
    )
    assert [rules.of(one) for one in (GPU, OTHER, part)] == [
        StrayPolicy.AVOID,
        StrayPolicy.EVICT,
        StrayPolicy.EVICT,
    ]
    assert replace(rules, devices={}).of(part) is StrayPolicy.REPORT
    host = host_with(rules)
    host.tick(reading(GPU, context(7)), reading(OTHER, context(7)), known=[ONE])
    assert stray(host).policy is StrayPolicy.EVICT
    assert stray(host).devices == (GPU.uuid, OTHER.uuid)
    assert "2 GiB" in host.ledger.stories[-1].sentence
    seen(host, ONE)
    assert stray(host).policy is StrayPolicy.AVOID


def test_a_stray_of_a_mig_instance_that_was_removed() -> None:
    """It has left with the instance, unless one that does not answer may be that."""
    host = host_with(EVICT)
    gpu, part = replace(OTHER, mig_enabled=True), mig(OTHER)
    host.devices = (GPU, gpu)
    host.tick(reading(part))
    host.tick(reading(part, context(7)), known=[ONE])
    nameless = LostDevice(OTHER.index, None, "MIG device 0: Unknown Error")
    for _ in range(2):
        assert told(host.tick(lost=(nameless,))) == []
    assert stray(host).devices == (part.uuid,)
    assert told(host.tick()) == ["process 7, which had no lease, has left it"]
    assert host.ledger.strays == {}
    assert next_deadline(host.ledger) is None


def test_a_signal_that_failed_is_told() -> None:
    """Why a stray was not signalled is in the history; of one that is gone there is nothing."""
    host = host_with(EVICT)
    seen(host, ONE)
    decision = host.do(SignalFailed(process(7), "Operation not permitted"))
    assert told(decision) == ["process 7 was not signalled: Operation not permitted"]
    gone = SignalFailed(process(8), "Operation not permitted")
    assert signal_failed(host.ledger, gone, host.now).changes == ()


def test_two_rows_of_one_process() -> None:
    """A process that NVML lists twice on a device is one stray, with the sum of its memory."""
    host = host_with(StrayRules())
    both: list[ProcessFacts] = [ONE]
    decision = host.tick(reading(GPU, context(7), context(7)), known=both)
    assert ["2 GiB" in one for one in told(decision)] == [True]
    unknown = host.tick(reading(OTHER, context(7, UNREADABLE), context(7)), on(ONE), known=both)
    assert told(unknown) == []
