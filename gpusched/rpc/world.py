"""What the services need of the daemon, in one value, so that each is made of one argument."""

from dataclasses import dataclass, field
from typing import TypeVar

from gpusched.core.events import Event
from gpusched.core.replies import Done, Explained, Granted, Rejected, Reply, Underway
from gpusched.core.request import Request
from gpusched.ports import Authority, Clock, IdSource, ProcessTable, Surveyor, Units
from gpusched.rpc.call import Users
from gpusched.rpc.convert_grant import GrantWriter
from gpusched.rpc.convert_rejection import refusal_of
from gpusched.rpc.host import Host
from gpusched.rpc.reasons import Reasons
from gpusched.rpc.turns import Turns

R = TypeVar("R", Granted, Done, Explained)


@dataclass(frozen=True, slots=True)
class World:
    """The daemon as the services see it.

    Attributes:
        authority: Decides; its ledger is read, but not across an `await`.
        clock: For deadlines in replies.
        ids: For fresh leases and request ids.
        processes: Looks up processes that a request names.
        host: What is told of the host.
        surveyor: Reads what nvidia-smi prints.
        units: Looks up units that a request names.
        users: Names of uids.
        grants: Writes grants.
        reasons: Knows what requests wait for.
        turns: Keeps users from keeping the event loop from each other.
    """

    authority: Authority
    clock: Clock
    ids: IdSource
    processes: ProcessTable
    host: Host
    surveyor: Surveyor
    units: Units
    users: Users = field(default_factory=Users)
    reasons: Reasons = field(default_factory=Reasons)
    turns: Turns = field(default_factory=Turns)
    grants: GrantWriter = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "grants", GrantWriter(self.host))


def decided(world: World, event: Event, wanted: type[R], request: Request | None = None) -> R:
    """Have *event* decided and give the reply, which is of the kind the verb answers with.

    The answer is made of it while the commit is on its way; `registry` tells it afterwards.

    Raises:
        Refused: It was rejected.
        TypeError: The core answered with another kind of reply, a defect.
        Stopping: The daemon ends.
    """
    return as_wanted(world, world.authority.propose(event), event, wanted, request)


async def settled(
    world: World, event: Event, wanted: type[R], request: Request | None = None
) -> R:
    """As `decided`; where something has to be done in the kernel, wait for what comes of it."""
    return as_wanted(world, await outcome(world, event), event, wanted, request)


async def outcome(world: World, event: Event) -> Reply:
    """Have *event* decided; give the reply, or what comes of what has to be done in the kernel.

    Raises:
        Stopping: The daemon ends.
    """
    reply = world.authority.propose(event)
    if isinstance(reply, Underway):
        return await world.authority.outcome(reply.lease.id, reply.process)
    return reply


def as_wanted(
    world: World, reply: Reply, event: Event, wanted: type[R], request: Request | None = None
) -> R:
    """Give *reply* as the kind that the verb answers with.

    Raises:
        Refused: It was rejected.
        TypeError: It is of another kind, a defect.
    """
    if isinstance(reply, wanted):
        return reply
    if isinstance(reply, Rejected):
        raise refusal_of(reply, world.authority.ledger, world.clock.now(), request)
    raise TypeError(f"{type(event).__name__} was answered with {type(reply).__name__}")
