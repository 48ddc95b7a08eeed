"""The best connected set: never a better one exists, compared with every set there is."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.joining import EXACT, Choice, best

Matrix = list[list[int]]


def matrix(size: int, pairs: dict[tuple[int, int], int]) -> Matrix:
    """What pairs are worth, both ways round."""
    return [[pairs.get((min(i, j), max(i, j)), 0) for j in range(size)] for i in range(size)]


@st.composite
def choices(draw: st.DrawFn, least: int = 1, most: int = 8) -> Choice:
    """Anything to choose from; few different numbers, so that there are many ties."""
    size = draw(st.integers(least, most))
    numbers = draw(st.sampled_from([st.integers(0, 1), st.integers(0, 3), st.integers(0, 999)]))
    pairs = list(combinations(range(size), 2))
    worth = {pair: draw(numbers) for pair in pairs}
    cost = [draw(st.integers(0, 3)) for _ in range(size)]
    count = draw(st.integers(1, size))
    fixed = tuple(draw(st.lists(st.integers(0, size - 1), max_size=count, unique=True)))
    joined = None
    if draw(st.booleans()):
        links = matrix(size, {pair: draw(st.integers(0, 2)) for pair in pairs})
        joined = [[bool(one) for one in row] for row in links]
    return Choice(matrix(size, worth), cost, count, fixed, joined)


def allowed(choice: Choice) -> list[tuple[int, ...]]:
    """Every set that may be chosen, the first one first."""
    return [
        chosen
        for chosen in combinations(range(len(choice.cost)), choice.count)
        if set(choice.fixed) <= set(chosen)
        and all(choice.fits(two, (one,)) for one, two in combinations(chosen, 2))
    ]


@given(choices())
def test_no_better_set_exists(choice: Choice) -> None:
    """Of up to eight the best set is found, of equals the first; none where there is none."""
    every = allowed(choice)
    assert best(choice) == max(every, key=choice.value, default=None)


@given(choices(least=EXACT + 1, most=EXACT + 4))
def test_of_many_a_good_set_is_found(choice: Choice) -> None:
    """Above that the set has the right number, what must be in it, and is joined as asked."""
    found = best(choice)
    if found is None:
        assert choice.joined is not None
        return
    assert len(set(found)) == choice.count
    assert set(choice.fixed) <= set(found)
    assert all(choice.fits(two, (one,)) for one, two in combinations(found, 2))


def test_exchange_mends_what_greed_spoiled() -> None:
    """Of many, a member is exchanged where that makes the set better."""
    size = EXACT + 1
    # From any seed the pair (0, 1) is tempting; the three that belong together are 2, 3 and 4.
    worth = matrix(size, {(0, 1): 10, (0, 2): 9, (2, 3): 9, (2, 4): 9, (3, 4): 9})
    cost = [0] * size
    assert best(Choice(worth, cost, 3)) == (2, 3, 4)
    assert best(Choice(worth, cost, 3, fixed=(0,))) == (0, 1, 2)
    pull = matrix(size, {(0, 1): 5, (0, 2): 4, (0, 3): 4, (2, 3): 8, (1, 2): 0})
    assert best(Choice(pull, cost, 3, fixed=(0,))) == (0, 2, 3)


def test_where_nothing_is_known_cost_and_order_decide() -> None:
    """Without any worth the cheapest are chosen, of equals the first, whatever their number."""
    for size in (4, 40):
        nothing = matrix(size, {})
        assert best(Choice(nothing, [1, 0, 1, 0] + [1] * (size - 4), 3)) == (0, 1, 3)
        assert best(Choice(nothing, [0] * size, 2, fixed=(3,))) == (0, 3)


def test_more_than_there_are_cannot_be_chosen() -> None:
    """There is no set of more members than there are."""
    assert best(Choice(matrix(2, {}), [0, 0], 3)) is None


@pytest.mark.parametrize("size", [4, EXACT + 1])
def test_what_must_be_chosen_has_to_be_joined(size: int) -> None:
    """Members that must be chosen and are not joined leave no choice."""
    apart = [[False] * size for _ in range(size)]
    nothing = matrix(size, {})
    assert best(Choice(nothing, [0] * size, 2, (0, 1), apart)) is None
    assert best(Choice(nothing, [0] * size, 2, (0,), apart)) is None
