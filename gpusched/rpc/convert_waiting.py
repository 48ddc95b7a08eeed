"""Requests that wait, on the wire: place, clocks, and what each waits for."""

from collections.abc import Iterator
from dataclasses import dataclass

from gpusched.api.v1 import lease_pb2, request_pb2
from gpusched.core.explain import describe
from gpusched.core.ids import Moment
from gpusched.core.ledger import Ledger
from gpusched.core.outlook import Outlook, giving_way_to
from gpusched.core.waiting import Waiting
from gpusched.core.waits import waits_for
from gpusched.rpc.call import Call
from gpusched.rpc.convert_reading import deadline_of, time_of
from gpusched.rpc.convert_request import message_of
from gpusched.rpc.reasons import Reasons


def message_of_outlook(
    outlook: Outlook, ledger: Ledger, now: Moment, call: Call
) -> lease_pb2.WaitingRequest:
    """Give a request with how it comes to its devices, one that waits or one that would."""
    message = _base(outlook.waiting, outlook.position, ledger, now, call)
    others = ledger.policy.others
    message.waits_for = waits_for(outlook.why, others)
    if others.device:
        message.blocking_lease_ids.extend(one.lease for one in outlook.why.holders)
        message.preempted_lease_ids.extend(one.id for one in outlook.preempted)
        if outlook.by is not None:
            message.begins_by.CopyFrom(time_of(now.wall_of(outlook.by)))
    return message


@dataclass(slots=True)
class WaitingWriter:
    """Writes requests that wait.

    Attributes:
        ledger: The record.
        now: Present moment.
        call: Who is told.
        reasons: Knows what they wait for.
    """

    ledger: Ledger
    now: Moment
    call: Call
    reasons: Reasons

    def all(self) -> Iterator[lease_pb2.WaitingRequest]:
        """Give all in the order of service."""
        for position, waiting in enumerate(self.ledger.waiting, 1):
            yield self._message(waiting, position)

    def one(self, waiting: Waiting) -> lease_pb2.WaitingRequest:
        """Give one."""
        return self._message(waiting, self.ledger.waiting.position(waiting))

    def _message(self, waiting: Waiting, position: int) -> lease_pb2.WaitingRequest:
        message = _base(waiting, position, self.ledger, self.now, self.call)
        if self.call.may_see(waiting.uid):
            self._add_reasons(message, waiting)
        return message

    def _add_reasons(self, message: lease_pb2.WaitingRequest, waiting: Waiting) -> None:
        found = self.reasons.of(self.ledger, waiting, self.now.instant)
        message.waits_for = waits_for(found, self.ledger.policy.others)
        if self.ledger.policy.others.device:
            message.blocking_lease_ids.extend(one.lease for one in found.holders)
            message.preempted_lease_ids.extend(
                one.id for one in giving_way_to(self.ledger, waiting)
            )


def _base(
    waiting: Waiting, position: int, ledger: Ledger, now: Moment, call: Call
) -> lease_pb2.WaitingRequest:
    """Give what does not ask what it waits for."""
    own = call.may_see(waiting.uid)
    message = lease_pb2.WaitingRequest(
        request=_request_of(waiting, own=own),
        wanted=describe(waiting.request) if own else "",
        position=position,
        enqueued_at=time_of(waiting.arrived.wall),
        wait_deadline=deadline_of(waiting.deadline, now),
        abandoned_deadline=deadline_of(waiting.abandoned, now),
        priority=waiting.priority,
    )
    if call.sight_of(waiting.uid, ledger.policy.others).uid:
        message.uid, message.user = waiting.uid, waiting.user
    return message


def _request_of(waiting: Waiting, *, own: bool) -> request_pb2.AllocateRequest:
    if own:
        return message_of(waiting.request)
    return request_pb2.AllocateRequest(request_id=waiting.request.request_id)
