"""What a refusal names as the nearest that would do is granted, whoever waits."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gpusched.core.ids import SECOND, Caller, RequestId
from gpusched.core.outlook import outlook_of
from gpusched.core.replies import Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from tests.fakes.builders import ADA, BOB, L4, device
from tests.fakes.host import Host
from tests.fakes.queued_host import host_of

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


@settings(max_examples=150, deadline=None)
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
