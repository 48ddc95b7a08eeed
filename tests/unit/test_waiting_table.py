"""The table of those who wait agrees with a plain list, whatever is put in and taken out."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.ids import Instant, LeaseId, RequestId
from gpusched.core.request import Request
from gpusched.core.waiting import Key, Waiting
from gpusched.core.waiting_table import WaitingTable
from tests.fakes.builders import moment

KEYS = st.tuples(st.integers(0, 2), st.sampled_from("abcd").map(RequestId))
STEPS = st.lists(
    st.tuples(
        KEYS,
        st.booleans(),
        st.integers(0, 3),
        st.integers(1, 2),
        st.none() | st.integers(0, 5).map(Instant),
    ),
    max_size=30,
)


def waiting(key: Key, number: int, rank: int, count: int, deadline: Instant | None) -> Waiting:
    types = ("nvidia-l4",) if key[0] == 2 else ()
    request = Request(key[1], count=count, gpu_types=types, wait_without_limit=True)
    return Waiting(
        request=request,
        uid=key[0],
        gid=1,
        user="",
        admin=False,
        lease_id=LeaseId(f"lease-{number}"),
        arrived=moment(),
        number=number,
        rank=rank,
        priority="normal",
        deadline=deadline,
    )


@given(STEPS)
def test_a_table_is_a_sorted_list(
    steps: list[tuple[Key, bool, int, int, Instant | None]],
) -> None:
    """Order, positions, clocks and shapes are those of the requests that were put in last."""
    table, plain = WaitingTable(), dict[Key, Waiting]()
    for number, (key, put, rank, count, deadline) in enumerate(steps):
        if put:
            one = waiting(key, number, rank, count, deadline)
            table.put(one)
            plain[key] = one
        else:
            table.drop(key)
            plain.pop(key, None)
    ordered = sorted(plain.values(), key=lambda one: one.order)
    assert list(table) == ordered
    assert [table.position(one) for one in ordered] == list(range(1, len(ordered) + 1))
    clocks = sorted(one.clock for one in ordered if one.clock is not None)
    assert table.next_clock() == (clocks[0] if clocks else None)
    over = sorted(one.clock or 0 for one in table.over(Instant(3)))
    assert over == [one for one in clocks if one <= 3]
    assert list(table.index_faults()) == []


@given(steps=STEPS, left_out=st.sets(st.integers(1, 2)), some=st.booleans())
def test_going_through_by_shape(
    *,
    steps: list[tuple[Key, bool, int, int, Instant | None]],
    left_out: set[int],
    some: bool,
) -> None:
    """Requests come in the order of service, those of some selections only where that is wanted;
    from where a shape is left out it comes no more.
    """
    table = WaitingTable()
    for number, (key, _, rank, count, deadline) in enumerate(steps):
        table.put(waiting(key, number, rank, count, deadline))
    selections = [
        selection for selection, one in table.selections() if not some or one.request.gpu_types
    ]
    walk, met, gone = table.by_shape(selections), list[Waiting](), set[tuple[int, int]]()
    expected = []
    for one in table:
        shape = (one.uid, one.request.count)
        if shape in gone or (some and not one.request.gpu_types):
            continue
        expected.append(one)
        if one.request.count in left_out:
            gone.add(shape)
    while (found := walk.next()) is not None:
        met.append(found)
        if found.request.count in left_out:
            walk.leave_out()
        else:
            walk.passed()
    assert met == expected


def test_what_does_not_agree_is_found() -> None:
    """A table that was changed behind its back says so."""
    table = WaitingTable()
    one = waiting((1, RequestId("a")), 0, 0, 1, None)
    table.put(one)
    table._rows[one.key] = replace(one, rank=5)
    assert len(list(table.index_faults())) == 2
