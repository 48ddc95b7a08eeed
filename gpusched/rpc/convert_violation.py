"""Breaches of a lease's terms on the wire, and the notices that warn of what follows."""

from collections.abc import Iterable

from gpusched.api.v1 import lease_pb2
from gpusched.core.ids import SECOND, Moment
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.notice import Notice, NoticeAction, NoticeKind
from gpusched.core.overuse_choice import ended_for, terminates
from gpusched.core.violation import Violation, ViolationKind
from gpusched.rpc.convert_reading import deadline_of, moment_of, process_of

KINDS = {
    ViolationKind.OVER_LIMIT: lease_pb2.VIOLATION_KIND_OVER_LIMIT,
    ViolationKind.OUTSIDE_MASK: lease_pb2.VIOLATION_KIND_OUTSIDE_MASK,
}
NOTICES = {
    NoticeKind.OVER_LIMIT: lease_pb2.NOTICE_KIND_OVER_LIMIT,
    NoticeKind.OUTSIDE_MASK: lease_pb2.NOTICE_KIND_OUTSIDE_MASK,
    NoticeKind.DRAIN: lease_pb2.NOTICE_KIND_DRAIN,
    NoticeKind.DEVICE_FAILING: lease_pb2.NOTICE_KIND_DEVICE_FAILING,
    NoticeKind.PREEMPTION: lease_pb2.NOTICE_KIND_PREEMPTION,
    NoticeKind.IDLE: lease_pb2.NOTICE_KIND_IDLE,
}
ACTIONS = {
    NoticeAction.NOTHING: lease_pb2.NOTICE_ACTION_UNSPECIFIED,
    NoticeAction.TERMINATE: lease_pb2.NOTICE_ACTION_TERMINATE,
    NoticeAction.KILL: lease_pb2.NOTICE_ACTION_KILL,
    NoticeAction.END: lease_pb2.NOTICE_ACTION_END,
}


def violations_of(lease: Lease, ledger: Ledger, now: Moment) -> list[lease_pb2.Violation]:
    """Give the breaches that last; one that is over and not forgotten yet is none."""
    return [_violation(one, lease, ledger, now) for one in lease.violations if one.within is None]


def notices_of(notices: Iterable[Notice], now: Moment) -> list[lease_pb2.Notice]:
    """Give notices in the order in which they were given."""
    return [
        lease_pb2.Notice(
            lease_id=one.lease,
            kind=NOTICES[one.kind],
            sentence=one.sentence,
            at=moment_of(one.at),
            action=ACTIONS[one.action],
            action_at=deadline_of(one.action_at, now),
            device_uuid=one.device or "",
        )
        for one in notices
    ]


def _violation(
    violation: Violation, lease: Lease, ledger: Ledger, now: Moment
) -> lease_pb2.Violation:
    process = violation.process
    return lease_pb2.Violation(
        kind=KINDS[violation.kind],
        device_uuid=violation.device,
        process=None if process is None else process_of(process),
        since=moment_of(violation.since),
        sentence=violation.sentence(lease.shares),
        next_action=_next_action(violation, lease, ledger, now),
    )


def _next_action(violation: Violation, lease: Lease, ledger: Ledger, now: Moment) -> str:
    if violation.kind is not ViolationKind.OVER_LIMIT or violation.deadline is None:
        return ""
    if not terminates(ledger, lease):
        return f"nothing: {ended_for(ledger, lease) or 'leases are only warned now'}"
    left = max(0, violation.deadline - now.instant) // SECOND
    would = "would be sent (dry run)" if ledger.policy.overuse.dry_run else "is sent"
    # One lease of a device at a time, and only by a sample that can be read.
    return f"SIGTERM {would} in {left} s" if left else f"SIGTERM {would} when it is its turn"
