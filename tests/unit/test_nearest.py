"""What a refusal names as the nearest that would do is granted, whoever waits."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.ids import SECOND, Caller, RequestId
from gpusched.core.outlook import outlook_of
from gpusched.core.replies import Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.sizes import GIB, MIB
from tests.examples import examples
from tests.fakes.builders import ADA, BOB, L4, A, B, C, device
from tests.fakes.host import Host
from tests.fakes.queued_host import host_of
from tests.fakes.queued_host import wish as wish_for

DEVICES = (device(0), device(1), device(2), device(3, L4, 24 * GIB))
WISHES = st.builds(
    Request,
    request_id=st.just(RequestId("replaced")),
    count=st.integers(1, 4),
    min_count=st.none() | st.just(1),
    memory=st.none() | st.sampled_from([10 * GIB, 30 * GIB, 60 * GIB, 90 * GIB]),
    gpu_types=st.sampled_from([(), ("nvidia-l4",), ("nvidia-a100-80gb",)]),
    time_limit=st.none() | st.sampled_from([60 * SECOND, 3600 * SECOND]),
    priority=st.none() | st.sampled_from(["high", "normal"]),
    wait_without_limit=st.booleans(),
)


def granted_now(host: Host, nearest: Request | None, by: Caller) -> bool:
    """Whether what is named is granted to its user at once; nothing named is no lie."""
    if nearest is None:
        return True
    fresh = replace(nearest, request_id=RequestId("fresh"), wait_without_limit=False)
    return host.would_grant(fresh, by)


@examples(150)
@given(st.lists(WISHES, max_size=10), WISHES)
def test_the_nearest_is_granted(before: list[Request], wish: Request) -> None:
    """To who comes, where he is refused for now; and to each who waits, beside his request."""
    host = host_of(*DEVICES)
    for number, one in enumerate(before):
        host.ask(replace(one, request_id=RequestId(f"{number}")), (ADA, BOB)[number % 2])
    now = replace(wish, request_id=RequestId("now"), wait_without_limit=False)
    reply = host.ask(now, BOB).reply
    if isinstance(reply, Rejected) and reply.why is Refusal.LATER:
        assert granted_now(host, reply.nearest, BOB)
    for waiting in host.ledger.waiting:
        nearest = outlook_of(host.ledger, waiting, host.now.instant).why.nearest
        assert granted_now(host, nearest, waiting.caller)


def less(host: Host, wish: Request) -> Request | None:
    """What Bob is named as the nearest, which then is granted to him."""
    rejected = host.refusal(wish, BOB)
    assert rejected.why is Refusal.LATER
    assert granted_now(host, rejected.nearest, BOB)
    return rejected.nearest


def test_less_memory_would_do() -> None:
    """Where each device has something free and none has enough, as much as so many have would do:
    in whole GiB, and below one in whole MiB, whether a size or a part was asked for.
    """
    host = host_of(device(0), device(1))
    host.grant(Request(A, count=2, memory=71 * GIB + 300 * MIB))
    wish = Request(B, count=2, memory=20 * GIB)
    assert less(host, wish) == replace(wish, memory=8 * GIB)
    part = Request(B, memory_fraction=0.5)
    assert less(host, part) == replace(part, memory=8 * GIB, memory_fraction=None)
    several = Request(B, count=2, min_count=1, memory=20 * GIB)
    assert less(host, several) == replace(several, count=1, min_count=None, memory=8 * GIB)
    host.grant(Request(C, devices=(DEVICES[0].uuid,), memory=8 * GIB))
    assert less(host, wish) == replace(wish, memory=724 * MIB)


def test_less_memory_would_not_do() -> None:
    """Where a device is full, where too few have anything free, and where what they have is kept
    for who came before, no size is named.
    """
    host = host_of(device(0), device(1))
    host.grant(Request(A, devices=(DEVICES[0].uuid,)))
    host.grant(Request(B, memory=70 * GIB))
    assert less(host, Request(C, count=2, memory=20 * GIB)) is None
    assert less(host, Request(C, memory=20 * GIB)) == Request(C, memory=10 * GIB)
    host.queue(wish_for("first", memory=30 * GIB, devices=(DEVICES[1].uuid,)))
    assert less(host, Request(C, memory=20 * GIB)) is None
    full = host_of(device(0))
    full.grant(Request(A, memory=80 * GIB))
    assert less(full, Request(C, memory=GIB)) is None
