"""Whatever a sample shows: the accounts balance to the byte, or say what is not known."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.accounts import Account, accounts
from gpusched.core.attribution import DeviceUse, attribute
from gpusched.core.device import Device
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.lease import LeaseState
from gpusched.core.policy import INFRASTRUCTURE
from gpusched.core.sample import (
    ContextKind,
    ContextReading,
    DeviceReading,
    LostDevice,
    Memory,
    Reading,
    Unavailable,
)
from gpusched.core.sizes import GIB
from tests.fakes.builders import device, facts, lease, mig, moment, sample, share

WHOLE = (device(0), device(1))
PARENT = replace(device(2), mig_enabled=True)
INSTANCES = (mig(PARENT, 1, 0), mig(PARENT, 1, 1), mig(PARENT, 1, 2), mig(PARENT, 2, 0))
DEVICES = (*WHOLE, PARENT, *INSTANCES)
# Their attached process is 50.
LEASES = (
    lease(LeaseState.ACTIVE, share(WHOLE[0], GIB), share(INSTANCES[0], GIB), name="1"),
    lease(LeaseState.RELEASING, share(INSTANCES[1], GIB), name="2"),
)
KNOWN = (facts(50), facts(60), facts(61), facts(70, name="nvidia-cuda-mps"))
PIDS = (50, 60, 61, 70, 98, 99)  # nobody knows the last two
HELD = ("leases", "strays", "infrastructure", "ghost", "unattributed")

why_not = st.sampled_from([Unavailable("no permission"), Unavailable("GPU is lost")])
sizes = st.integers(min_value=0, max_value=2**40)


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    """What a driver tells; mostly it adds up."""
    reserved, used, free = draw(sizes), draw(sizes), draw(sizes)
    apart = draw(st.booleans())
    total = max(0, reserved + used + free + draw(st.just(0) | st.integers(-(2**30), 2**30)))
    return Memory(total, reserved if apart else 0, used, free, reserved_apart=apart)


contexts = st.builds(
    ContextReading,
    pid=st.sampled_from(PIDS),
    kind=st.sampled_from([ContextKind.COMPUTE, ContextKind.GRAPHICS, ContextKind.MPS]),
    memory=sizes | sizes | sizes | why_not,
)


def readings(one: Device) -> st.SearchStrategy[DeviceReading]:
    """Any reading of a device; the list of a partitioned GPU is never read."""
    rows: st.SearchStrategy[Reading[tuple[ContextReading, ...]]] = why_not
    if not one.mig_enabled:
        known = st.lists(contexts, max_size=5).map(tuple)
        rows = known | known | why_not
    return st.builds(
        DeviceReading,
        device=st.just(one),
        memory=memories() | memories() | why_not,
        contexts=rows,
    )


samples = st.lists(st.sampled_from(DEVICES), unique=True).flatmap(
    lambda present: st.tuples(*map(readings, present))
)
ghosts = st.dictionaries(
    st.sampled_from([one.uuid for one in DEVICES]),
    sizes.map(lambda memory: Ghost(memory, 0, LeaseId("lease-gone"), moment())),
)
lost = st.lists(
    st.builds(
        LostDevice,
        index=st.sampled_from([0, PARENT.index, 7]),
        uuid=st.just(None),
        reason=st.just("Unknown Error"),
    ),
    max_size=1,
).map(tuple)


@given(read=samples, ghosts=ghosts, lost=lost)
def test_an_account_balances_or_says_what_is_not_known(
    read: tuple[DeviceReading, ...],
    ghosts: dict[DeviceUuid, Ghost],
    lost: tuple[LostDevice, ...],
) -> None:
    """Used is the sum of the parts less the overlap, total that of the driver's figures and their
    difference; no part is negative, and where one is not known neither is what depends on it.
    """
    uses = attribute(sample(*read, known=KNOWN, lost=lost), LEASES, INFRASTRUCTURE)
    told = accounts(uses, ghosts, lost)
    assert told.keys() == uses.keys()
    for one in told.values():
        _check_figures(one)
        _check_parts(one)
    _check_unknown(told, uses)


def _check_figures(one: Account) -> None:
    if isinstance(one.total, Unavailable):
        assert one.used == one.free == one.driver_reserved == one.difference == one.total
        return
    figures = (one.driver_reserved, one.used, one.free, one.difference)
    known = [figure for figure in figures if not isinstance(figure, Unavailable)]
    assert len(known) >= 3
    assert one.total == sum(known)


def _check_parts(one: Account) -> None:
    parts = [getattr(one, name) for name in HELD]
    figures = [part for part in (*parts, one.overlap, one.unknown) if isinstance(part, int)]
    assert all(figure >= 0 for figure in figures)
    if isinstance(one.unattributed, Unavailable):
        assert one.overlap == one.unattributed
        assert any(isinstance(part, Unavailable) for part in (one.used, *parts[:3]))
        return
    assert isinstance(one.used, int)
    assert isinstance(one.overlap, int)
    assert isinstance(one.strays, int)
    assert isinstance(one.unknown, int)
    assert one.used == sum(parts) - one.overlap
    assert not (one.overlap and (one.unattributed or one.ghost))
    assert one.strays >= one.unknown


def _check_unknown(
    told: Mapping[DeviceUuid, Account], uses: Mapping[DeviceUuid, DeviceUse]
) -> None:
    """Nothing that was not read is told as a number."""
    for uuid, use in uses.items():
        one, reading = told[uuid], use.reading
        domain = [
            each
            for each in uses.values()
            if each.reading.device.memory_domain == reading.device.memory_domain
        ]
        if all(isinstance(each.reading.memory, Unavailable) for each in domain):
            assert isinstance(one.used, Unavailable)
            assert isinstance(one.unattributed, Unavailable)
        unread = isinstance(use.processes, Unavailable) and not reading.device.mig_enabled
        if unread:
            assert isinstance(one.leases, Unavailable)
            assert isinstance(one.unattributed, Unavailable)


@given(read=samples, ghosts=ghosts)
def test_a_memory_that_is_shared_has_one_account(
    read: tuple[DeviceReading, ...], ghosts: dict[DeviceUuid, Ghost]
) -> None:
    """All compute instances of a GPU instance tell the same account, so a sum counts it once."""
    uses = attribute(sample(*read, known=KNOWN), LEASES, INFRASTRUCTURE)
    told = accounts(uses, ghosts)
    domains: dict[str, Account] = {}
    for uuid, one in told.items():
        domain = uses[uuid].reading.device.memory_domain
        assert domains.setdefault(domain, one) is one
