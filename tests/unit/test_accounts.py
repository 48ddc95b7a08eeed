"""Accounts of memory: every byte in use is somebody's, or nobody's by name."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.accounts import Account, account_of, in_domain, on_gpu, unattributed
from gpusched.core.attribution import Attributed, DeviceUse, ProcessKind
from gpusched.core.sample import DeviceReading, Memory, Reading, Unavailable
from gpusched.core.sizes import GIB
from tests.fakes.builders import UNREADABLE, context, device, memory_of, mig, reading

GPU, OTHER = device(0), device(1)
LEFT, RIGHT, APART = mig(GPU, 1, 0), mig(GPU, 1, 1), mig(GPU, 2, 0)
K = ProcessKind


def row(memory: Reading[int], kind: ProcessKind = K.LEASE) -> Attributed:
    """A process that holds *memory* on somebody's account."""
    return Attributed(context(1, memory), None, None, kind)


def use(one: DeviceReading, *rows: Attributed) -> DeviceUse:
    """What a sample shows of a device."""
    return DeviceUse(one, rows)


def test_every_part_has_its_place() -> None:
    """Memory is on the account of leases, strays and infrastructure; the rest, as far as it was
    left behind, is ghost memory, and what then remains nobody's.
    """
    rows = (
        *(row(3 * GIB), row(2 * GIB), row(GIB, K.STRAY), row(GIB, K.UNKNOWN)),
        row(GIB, K.INFRASTRUCTURE),
    )
    memory = memory_of(GPU, used=20 * GIB)
    account = account_of(memory, [use(reading(GPU, used=20 * GIB), *rows)], 4 * GIB)
    assert account == Account(5 * GIB, 2 * GIB, GIB, 4 * GIB, 8 * GIB, 0)


def test_ghost_memory_is_at_most_what_nobody_has() -> None:
    """Part of it may have come back since it was found."""
    memory = memory_of(GPU, used=5 * GIB)
    account = account_of(memory, [use(reading(GPU), row(3 * GIB))], 4 * GIB)
    assert (account.ghost, account.unattributed) == (2 * GIB, 0)


def test_a_sum_above_what_is_used_is_overlap() -> None:
    """Buffers that two processes share are counted twice by the driver, and told as that."""
    memory = memory_of(GPU, used=2 * GIB)
    account = account_of(memory, [use(reading(GPU), row(3 * GIB))], 0)
    assert (account.leases, account.unattributed, account.overlap) == (3 * GIB, 0, GIB)


def test_compute_instances_have_one_account() -> None:
    """What allocates from one memory is counted once, whichever of them it is asked for."""
    uses = [
        use(reading(LEFT), row(GIB)),
        use(reading(RIGHT), row(2 * GIB, K.STRAY)),
        use(reading(APART), row(5 * GIB)),
        use(reading(OTHER), row(9 * GIB)),
    ]
    shared = in_domain(uses, LEFT.memory_domain)
    assert shared == in_domain(uses, RIGHT.memory_domain) == tuple(uses[:2])
    account = account_of(memory_of(LEFT, used=4 * GIB), shared, 0)
    assert (account.leases, account.strays, account.unattributed) == (GIB, 2 * GIB, GIB)
    assert on_gpu(uses, GPU.uuid) == tuple(uses[:3])


def test_what_no_process_has() -> None:
    """It is the memory in use less that of all processes on the domain, and never below 0."""
    uses = {one.uuid: use(reading(one, used=5 * GIB), row(GIB)) for one in (LEFT, RIGHT, APART)}
    assert unattributed(uses, LEFT.uuid) == 3 * GIB
    assert unattributed(uses, APART.uuid) == 4 * GIB
    assert unattributed({GPU.uuid: use(reading(GPU, used=0), row(GIB))}, GPU.uuid) == 0


def test_what_is_not_known_is_not_zero() -> None:
    """Without the device, the memory, a list or the figure of one process nothing can be said."""
    unread = DeviceUse(replace(reading(GPU), contexts=UNREADABLE), UNREADABLE)
    blind = use(replace(reading(GPU), memory=UNREADABLE), row(GIB))
    nameless = use(reading(GPU, used=GIB), row(UNREADABLE))
    for one in (unread, blind, nameless):
        assert unattributed({GPU.uuid: one}, GPU.uuid) is None
        account = account_of(one.reading.memory, [one], GIB)
        assert isinstance(account.unattributed, Unavailable)
        assert account.ghost == account.overlap == account.unattributed
    assert unattributed({}, GPU.uuid) is None
    assert isinstance(account_of(memory_of(GPU), [], 0).leases, Unavailable)
    assert account_of(memory_of(GPU), [], 0).ghost == 0


sizes = st.integers(0, 2**40)
unread = st.just(UNREADABLE)
rows = st.lists(st.builds(row, sizes | unread, st.sampled_from(ProcessKind)), max_size=6)
lists = st.lists(rows.map(tuple) | unread, max_size=3)
memories = st.builds(lambda r, u, f: Memory(r + u + f, r, u, f), sizes, sizes, sizes) | unread


@given(memories, lists, sizes)
def test_the_account_balances_or_says_why_not(
    memory: Reading[Memory], found: list[Reading[tuple[Attributed, ...]]], ghost: int
) -> None:
    """For any sample each part is a figure of 0 or more, or unknown; where all are known they
    make up what is used, to the byte; and with anything unread the remainder is unknown.
    """
    uses = [DeviceUse(reading(GPU), one) for one in found]
    account = account_of(memory, uses, ghost)
    parts = [getattr(account, name) for name in Account.__slots__]
    known = [one for one in parts if not isinstance(one, Unavailable)]
    assert all(one >= 0 for one in known)
    figures = [
        one.context.memory
        for several in found
        if not isinstance(several, Unavailable)
        for one in several
    ]
    whole = found and not any(isinstance(one, Unavailable) for one in [memory, *found, *figures])
    if not whole:
        assert isinstance(account.unattributed, Unavailable)
        assert isinstance(account.overlap, Unavailable)
        return
    assert not isinstance(memory, Unavailable)
    assert len(known) == len(parts)
    leases, strays, infrastructure, left, nobody, overlap = known
    assert leases + strays + infrastructure + left + nobody - overlap == memory.used
    assert left <= ghost
    assert 0 in {left + nobody, overlap}
    assert memory.total == memory.used + memory.reserved + memory.free
