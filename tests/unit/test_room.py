"""How much of a device can still be promised: the less of what ledger and card say."""

from gpusched.core.policy import Policy
from gpusched.core.preferences import Sharing
from gpusched.core.request import Request
from gpusched.core.room import missing_on, room_on
from gpusched.core.sample import DeviceReading, Memory, Unavailable
from tests.fakes.builders import A, B, context, device, facts, reading
from tests.fakes.host import Host

GIB = 1 << 30
GPU = device(0)


def room(host: Host) -> int:
    memory = host.ledger.uses[GPU.uuid].reading.memory
    assert isinstance(memory, Memory)
    return room_on(host.ledger, GPU, memory)


def test_what_is_withheld_stays_free_beside_a_stranger() -> None:
    """What the operator keeps back is kept back of what the card says is free, too."""
    host = Host(GPU, policy=Policy(withheld=5 * GIB))
    assert room(host) == 75 * GIB
    host.tick(reading(GPU, context(7, 40 * GIB)))
    assert room(host) == 35 * GIB


def test_a_card_that_says_too_little_is_used_frees_no_promise() -> None:
    """A device whose processes use more than it says keeps what the ledger has promised."""
    host = Host(GPU)
    host.attach(host.grant(Request(A, memory=30 * GIB)), 50)
    host.tick(reading(GPU, context(50, 30 * GIB), used=0), known=(facts(50),))
    assert room(host) == 50 * GIB


def test_what_a_share_lacks() -> None:
    """A share lacks what it wants more than there is room, of a fraction the bytes that it is."""
    host = Host(GPU)
    host.grant(Request(A, memory=70 * GIB))
    assert missing_on(host.ledger, GPU.uuid, Request(B, memory=30 * GIB)) == 20 * GIB
    assert missing_on(host.ledger, GPU.uuid, Request(B, memory_fraction=0.25)) == 10 * GIB


def test_nobody_says_what_a_whole_device_lacks() -> None:
    """All of a device is wanted as a whole, also where its size is said."""
    host = Host(GPU)
    wanted = Request(B, memory=30 * GIB, sharing=Sharing.EXCLUSIVE)
    assert missing_on(host.ledger, GPU.uuid, wanted) is None


def test_nobody_says_what_an_unread_device_lacks() -> None:
    """Where a device, or its memory, was not read, nothing is known of what is missing."""
    host = Host(GPU)
    share = Request(B, memory=30 * GIB)
    assert missing_on(host.ledger, device(9).uuid, share) is None
    host.tick(DeviceReading(GPU, Unavailable("it is busy"), ()))
    assert missing_on(host.ledger, GPU.uuid, share) is None
