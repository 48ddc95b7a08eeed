"""The account that `Explain` gives of a request, a lease or a device. Changes nothing."""

from gpusched.api.v1 import leases_pb2
from gpusched.core.durations import in_words
from gpusched.core.errors import InvalidRequest
from gpusched.core.events import ExplainRequested
from gpusched.core.explain import describe
from gpusched.core.idle import idle_of
from gpusched.core.idle_story import idle_for
from gpusched.core.ids import DeviceUuid, RequestId
from gpusched.core.lease import Lease
from gpusched.core.replies import Explained, Refusal
from gpusched.core.story import REASONS
from gpusched.rpc.asking import checked
from gpusched.rpc.call import Call
from gpusched.rpc.convert_enforcement import ability_of
from gpusched.rpc.convert_event import story_of
from gpusched.rpc.convert_rejection import rejection_of, verdict_of
from gpusched.rpc.judging import whole_verdicts
from gpusched.rpc.resolve import find_device, find_lease
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
            return _lease(world, find_lease(ledger, request.lease_id), call)
        case "device":
            return _device(world, find_device(ledger, request.device), call)
        case "request_id":
            lease = ledger.by_request(call.caller.uid, RequestId(request.request_id))
            if lease is None:
                sentence = (
                    f"no request {request.request_id!r} of uid {call.caller.uid} holds a lease,"
                    " and none waits: there is no queue yet"
                )
                raise refuse(Refusal.NOT_FOUND, sentence)
            return _lease(world, lease, call)
        case _:
            raise InvalidRequest("subject", "name a request, a lease or a device")


async def _request(
    world: World, request: leases_pb2.ExplainRequest, call: Call
) -> leases_pb2.ExplainReply:
    wish = await checked(world, request.request, call, world.ids.lease_id())
    answer = decided(world, ExplainRequested(call.caller, wish), Explained, wish)
    ledger = world.authority.ledger
    rejection = None
    sentence = f"{describe(wish)} would be granted now"
    if answer.rejection is not None:
        rejection = rejection_of(answer.rejection, ledger, world.clock.now(), wish)
        sentence = answer.rejection.sentence
    return leases_pb2.ExplainReply(
        sentence=sentence,
        device_uuids=answer.devices or (),
        rejection=rejection,
        verdicts=[verdict_of(one, ledger, wish) for one in answer.verdicts],
        enforcement=ability_of(ledger.ability),
    )


def _lease(world: World, lease: Lease, call: Call) -> leases_pb2.ExplainReply:
    ledger = world.authority.ledger
    own, seen = call.may_see(lease.uid), call.sight_of(lease.uid, ledger.policy.others)
    who = f" of {lease.user or f'uid {lease.uid}'}" if seen.uid else ""
    now = world.clock.now().instant
    age = in_words(now - lease.created.instant)
    words = f"{lease.id}{who} is {lease.state.value}, granted {age} ago"
    if own:
        words += f", with {describe(lease.request)}"
    idle = idle_of(ledger, lease) if lease.usable else None
    if idle is not None and (own or seen.device):
        words += f"; idle: {idle_for(idle, now)}"
    if lease.reason is not None:
        words += f": {REASONS[lease.reason]}"
    story = list(story_of(lease.id, ledger, call)) if own else None
    return leases_pb2.ExplainReply(sentence=words, story=story)


def _device(world: World, uuid: DeviceUuid, call: Call) -> leases_pb2.ExplainReply:
    ledger = world.authority.ledger
    verdict = whole_verdicts(ledger, world.clock.now().instant)[uuid]
    return leases_pb2.ExplainReply(
        sentence=f"{uuid}: {verdict.sentence}",
        verdicts=[verdict_of(verdict, ledger)],
        story=list(story_of(uuid, ledger, call)),
    )
