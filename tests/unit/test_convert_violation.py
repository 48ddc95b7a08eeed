"""Breaches and notices as clients see them."""

from dataclasses import replace

import pytest

from gpusched.api.v1 import lease_pb2
from gpusched.core.ids import SECOND, Instant, Moment
from gpusched.core.lease import LeaseState
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from gpusched.core.policy import OverUseRules, Policy
from gpusched.core.sizes import GIB
from gpusched.core.violation import Violation, ViolationKind
from gpusched.rpc.convert_violation import ACTIONS, KINDS, NOTICES, notices_of, violations_of
from tests.fakes.builders import lease, moment, process, share
from tests.fakes.kernel_builders import GPUS, host_of, own_cgroup

GPU = GPUS[0]
NOW = moment()
OVER = Violation(
    ViolationKind.OVER_LIMIT, GPU.uuid, None, NOW, 5 * GIB, Instant(NOW.instant + 12 * SECOND)
)
HOLDER = replace(
    lease(LeaseState.ACTIVE, share(GPU, 4 * GIB)), cgroup=own_cgroup(), violations=(OVER,)
)


@pytest.mark.parametrize("table", [KINDS, NOTICES, ACTIONS])
def test_every_word_has_its_own(table: dict[object, int]) -> None:
    """No two kinds are one on the wire, and none is missing."""
    kinds = type(next(iter(table)))
    assert set(table) == set(kinds)  # type: ignore[call-overload]  # an enum
    assert len(set(table.values())) == len(table)


def test_a_breach_says_what_follows() -> None:
    """It names limit, memory and device, and what is done when."""
    ledger = host_of(HOLDER, policy=Policy(overuse=OverUseRules(terminate=True))).ledger
    (found,) = violations_of(HOLDER, ledger, NOW)
    assert found.kind == lease_pb2.VIOLATION_KIND_OVER_LIMIT
    limit = f"above its limit of 4 GiB on {GPU.uuid}"
    assert found.sentence == f"{limit}; held 5 GiB when it was found"
    assert found.next_action == "SIGTERM is sent in 12 s"
    later = Moment(Instant(NOW.instant + 13 * SECOND), NOW.wall + 13 * SECOND)
    (found,) = violations_of(HOLDER, ledger, later)
    assert found.next_action == "SIGTERM is sent when it is its turn"


def test_what_does_not_follow() -> None:
    """A dry run, a warning and a lease that is not gpusched's to end say so."""
    rules = OverUseRules(terminate=True, dry_run=True)
    dry = host_of(HOLDER, policy=Policy(overuse=rules))
    (found,) = violations_of(HOLDER, dry.ledger, NOW)
    assert found.next_action == "SIGTERM would be sent (dry run) in 12 s"
    ledger = host_of(HOLDER).ledger
    warned = replace(HOLDER, violations=(replace(OVER, deadline=None),))
    assert not violations_of(warned, ledger, NOW)[0].next_action
    (found,) = violations_of(HOLDER, ledger, NOW)
    assert found.next_action == "nothing: leases are only warned now"
    named = replace(HOLDER, cgroup=None)
    assert violations_of(named, ledger, NOW)[0].next_action.startswith("nothing: its processes")


def test_a_breach_that_is_over_is_none() -> None:
    """What is only remembered for the cool-down is not shown."""
    over = replace(HOLDER, violations=(replace(OVER, within=NOW.instant),))
    assert violations_of(over, host_of(over).ledger, NOW) == []


def test_a_process_outside_the_mask() -> None:
    """It is named, with the device; nothing follows."""
    outside = Violation(ViolationKind.OUTSIDE_MASK, GPUS[1].uuid, process(7), NOW, GIB)
    holder = replace(HOLDER, violations=(outside,))
    (found,) = violations_of(holder, host_of(holder).ledger, NOW)
    assert found.process.pid == 7
    assert found.sentence == f"process 7 is on {GPUS[1].uuid}, which is not of the lease"
    assert not found.next_action


def test_a_notice() -> None:
    """It carries what comes, when by the wall clock, and the device."""
    deadline = Instant(NOW.instant + SECOND)
    notice = Notice(
        HOLDER.id, NoticeKind.DRAIN, "drained", NOW, NoticeAction.END, deadline, GPU.uuid, 3
    )
    (found,) = notices_of([notice], NOW)
    assert (found.lease_id, found.device_uuid) == (HOLDER.id, GPU.uuid)
    assert (found.kind, found.action) == (
        lease_pb2.NOTICE_KIND_DRAIN,
        lease_pb2.NOTICE_ACTION_END,
    )
    assert found.action_at.ToNanoseconds() - found.at.ToNanoseconds() == SECOND
