"""The account that `Explain` gives of a request, a lease or a device. Changes nothing."""

from gpusched.api.v1 import leases_pb2
from gpusched.core.durations import in_words
from gpusched.core.errors import InvalidRequest
from gpusched.core.events import ExplainRequested
from gpusched.core.explain import describe
from gpusched.core.holding import no_request
from gpusched.core.ids import DeviceUuid, LeaseId, RequestId
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.outlook import Outlook, outlook_of
from gpusched.core.particulars import device_particulars, lease_particulars
from gpusched.core.replies import Explained
from gpusched.core.waiting import Waiting
from gpusched.rpc.asking import checked
from gpusched.rpc.call import Call
from gpusched.rpc.convert_enforcement import ability_of
from gpusched.rpc.convert_event import story_of
from gpusched.rpc.convert_rejection import rejection_of, verdict_of
from gpusched.rpc.convert_waiting import message_of_outlook
from gpusched.rpc.judging import share_verdicts, whole_verdicts
from gpusched.rpc.resolve import find_device, find_lease, find_waiting
from gpusched.rpc.status import refuse
from gpusched.rpc.world import World, decided


async def explained(
    world: World, request: leases_pb2.ExplainRequest, call: Call
) -> leases_pb2.ExplainReply:
    """Account for what the message names.

    Raises:
        InvalidRequest: It names nothing, or the request in it is malformed.
        Refused: There is no such thing.
    """
    ledger = world.authority.ledger
    match request.WhichOneof("subject"):
        case "request":
            return await _request(world, request, call)
        case "lease_id":
            to_come = _of_lease_to_come(ledger, LeaseId(request.lease_id), call)
            if to_come is not None:
                return _waiting(world, to_come, call)
            return _lease(world, find_lease(ledger, request.lease_id), call)
        case "device":
            return _device(world, find_device(ledger, request.device), call)
        case "request_id":
            found = _named(world, RequestId(request.request_id), call)
            if isinstance(found, Lease):
                return _lease(world, found, call)
            return _waiting(world, found, call)
        case _:
            raise InvalidRequest("subject", "name a request, a lease or a device")


async def _request(
    world: World, request: leases_pb2.ExplainRequest, call: Call
) -> leases_pb2.ExplainReply:
    wish = await checked(world, request.request, call, world.ids.lease_id())
    answer = decided(world, ExplainRequested(call.caller, wish), Explained, wish)
    ledger, now = world.authority.ledger, world.clock.now()
    reply = leases_pb2.ExplainReply(
        sentence=f"{describe(wish)} would be granted now",
        device_uuids=answer.devices or (),
        verdicts=[verdict_of(one, ledger, wish) for one in answer.verdicts],
        enforcement=ability_of(ledger.ability),
    )
    if answer.rejection is not None:
        reply.sentence = answer.rejection.sentence
        reply.rejection.CopyFrom(rejection_of(answer.rejection, ledger, now, wish))
    if answer.arriving is not None:
        outlook = outlook_of(ledger, answer.arriving, now.instant)
        what = f"a request for {describe(wish)} would wait"
        reply.sentence = f"{what}, {outlook.place}: {reply.sentence}"
        _add_outlook(reply, world, outlook, call)
    return reply


def _of_lease_to_come(ledger: Ledger, lease_id: LeaseId, call: Call) -> Waiting | None:
    """Find the request that a lease is to come of: events and who gives way to it name that."""
    found = next((one for one in ledger.waiting if one.lease_id == lease_id), None)
    return found if found is not None and call.may_see(found.uid) else None


def _named(world: World, name: RequestId, call: Call) -> Waiting | Lease:
    """Find what a request became: a lease, or one that waits.

    Raises:
        Refused: There is none.
    """
    ledger = world.authority.ledger
    found = ledger.by_request(call.caller.uid, name) or find_waiting(ledger, name, call)
    if found is not None:
        return found
    nothing = no_request(call.caller, name)
    raise refuse(nothing.why, nothing.sentence)


def _waiting(world: World, waiting: Waiting, call: Call) -> leases_pb2.ExplainReply:
    ledger, now = world.authority.ledger, world.clock.now()
    outlook = outlook_of(ledger, waiting, now.instant)
    request, why = waiting.request, outlook.why
    waited = in_words(now.instant - waiting.arrived.instant)
    who = f"{request.request_id} of {waiting.user or f'uid {waiting.uid}'}"
    what = f"has waited {waited} for {describe(request)}, in the class {waiting.priority}"
    reply = leases_pb2.ExplainReply(
        sentence=f"{who} {what}, {outlook.place}: {why.sentence}",
        rejection=rejection_of(why, ledger, now, request),
        verdicts=[verdict_of(one, ledger, request) for one in why.verdicts],
        story=list(story_of(waiting.lease_id, ledger, call)),
    )
    _add_outlook(reply, world, outlook, call)
    return reply


def _add_outlook(
    reply: leases_pb2.ExplainReply, world: World, outlook: Outlook, call: Call
) -> None:
    message = message_of_outlook(outlook, world.authority.ledger, world.clock.now(), call)
    reply.waiting.CopyFrom(message)
    reply.preempted_lease_ids[:] = message.preempted_lease_ids


def _lease(world: World, lease: Lease, call: Call) -> leases_pb2.ExplainReply:
    ledger, now = world.authority.ledger, world.clock.now().instant
    own, seen = call.may_see(lease.uid), call.sight_of(lease.uid, ledger.policy.others)
    words = lease_particulars(ledger, lease, now, seen, own=own)
    story = list(story_of(lease.id, ledger, call)) if own else None
    return leases_pb2.ExplainReply(sentence=words, story=story)


def _device(world: World, uuid: DeviceUuid, call: Call) -> leases_pb2.ExplainReply:
    ledger, now = world.authority.ledger, world.clock.now().instant
    whole, share = whole_verdicts(ledger, now)[uuid], share_verdicts(ledger, now)[uuid]
    words = device_particulars(ledger, ledger.devices[uuid], whole, share, now)
    return leases_pb2.ExplainReply(
        sentence=f"{uuid}: {words}",
        verdicts=[verdict_of(whole, ledger)],
        story=list(story_of(uuid, ledger, call)),
    )
