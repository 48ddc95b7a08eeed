"""The table of methods: nothing is forgotten, and every error becomes one refusal."""

from collections.abc import AsyncIterator

import pytest
from google.protobuf.message import Message
from structlog.testing import capture_logs

from gpusched.api.v1 import leases_pb2, node_pb2
from gpusched.core.errors import InvalidRequest
from gpusched.core.request import Request
from gpusched.ports import Stopping
from gpusched.rpc.call import Call, Callers, Code, Refused, Users
from gpusched.rpc.devices import Devices
from gpusched.rpc.events import Events
from gpusched.rpc.leases import Leases
from gpusched.rpc.node import Node
from gpusched.rpc.peer import Peer
from gpusched.rpc.processes import Processes
from gpusched.rpc.registry import SERVICES, Method, answer, answers, table_of
from gpusched.rpc.resolve import find_lease
from tests.fakes.builders import ADA, device
from tests.fakes.host import Host, name

CALL = Call(ADA)
MADE: dict[str, type] = {
    "Leases": Leases,
    "Devices": Devices,
    "Processes": Processes,
    "Events": Events,
    "Node": Node,
}


def test_every_method_is_implemented() -> None:
    """The table has every method of the protocol."""
    assert table_of(MADE, at_once).keys() == {
        (service.name, method.name) for service in SERVICES for method in service.methods
    }


def methods(error: Exception) -> tuple[Method, Method]:
    """A unary and a streaming method that end with *error*."""

    async def ping(_request: Message, _call: Call) -> Message:
        raise error

    async def watch(_request: Message, _call: Call) -> AsyncIterator[Message]:
        yield leases_pb2.LeaseList()
        raise error

    kind = node_pb2.PingRequest
    return (
        Method("Node", "Ping", kind, reads_only=True, unary=ping, streaming=None),
        Method("Leases", "Watch", kind, reads_only=True, unary=None, streaming=watch),
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused(Code.NOT_FOUND, "no such lease"), Code.NOT_FOUND),
        (InvalidRequest("count", "is odd"), Code.INVALID_ARGUMENT),
        (Stopping(), Code.UNAVAILABLE),
    ],
)
async def test_refusals(error: Exception, code: Code) -> None:
    """What a user or the daemon's end did becomes its own status, without a word in the log."""
    unary, streaming = methods(error)
    with capture_logs() as logs:
        with pytest.raises(Refused) as caught:
            await answer(unary, node_pb2.PingRequest(), CALL)
        assert caught.value.code is code
        replies = answers(streaming, node_pb2.PingRequest(), CALL)
        assert await anext(replies) == leases_pb2.LeaseList()
        with pytest.raises(Refused) as caught:
            await anext(replies)
        assert caught.value.code is code
    assert logs == []


async def test_defect() -> None:
    """A defect is logged with its traceback and told without."""
    unary, _ = methods(KeyError("secret"))
    with capture_logs() as logs, pytest.raises(Refused) as caught:
        await answer(unary, node_pb2.PingRequest(), CALL)
    assert caught.value.code is Code.INTERNAL
    assert "secret" not in caught.value.sentence
    assert "Node.Ping" in caught.value.sentence
    (line,) = logs
    assert line["method"] == "Node.Ping"
    assert isinstance(line["exc_info"], KeyError)


async def test_stream_of_a_unary_method() -> None:
    """A unary method can be asked as a stream of one; a stream is no unary method."""
    unary, streaming = methods(Refused(Code.NOT_FOUND, "no"))
    with pytest.raises(Refused, match="no"):
        await anext(answers(unary, node_pb2.PingRequest(), CALL))
    with pytest.raises(Refused, match="streams"):
        await answer(streaming, node_pb2.PingRequest(), CALL)


def test_forgotten_method() -> None:
    """A method that nobody implements keeps the daemon from starting."""
    with pytest.raises(LookupError, match=r"gpusched\.v1\.\w+\.\w+ is not implemented"):
        table_of(dict.fromkeys(MADE, object()), at_once)


async def at_once() -> None:
    """Everything is durable already."""


def test_callers() -> None:
    """A peer is a caller with a name and a right, which are looked up once."""
    asked: list[tuple[int, int]] = []

    def is_admin(uid: int, gid: int) -> bool:
        asked.append((uid, gid))
        return uid == 0

    callers = Callers(is_admin, Users())
    root = Peer(1, 0, 0, None)
    assert callers.call_of(root).caller.admin
    assert callers.call_of(root).caller.user == "root"
    nobody = callers.call_of(Peer(2, 3_999_999_999, 5, None)).caller
    assert (nobody.user, nobody.admin) == ("", False)
    assert asked == [(0, 0), (3_999_999_999, 5)]


def test_finding_a_lease() -> None:
    """A prefix has to mean one lease, living or ended; of very many some are named."""
    host = Host(device(0))
    with pytest.raises(Refused, match="there is no lease lease-"):
        find_lease(host.ledger, "lease-")
    with pytest.raises(InvalidRequest, match="name a lease"):
        find_lease(host.ledger, "")
    leases = [host.grant(Request(name(str(place)), count=0)) for place in range(7)]
    host.release(leases[0])
    assert find_lease(host.ledger, leases[0].id[:-1] + "1") == host.lease(leases[0].id)
    with pytest.raises(InvalidRequest, match=r"7 leases begin with 'lease-': .*, …$"):
        find_lease(host.ledger, "lease-")
