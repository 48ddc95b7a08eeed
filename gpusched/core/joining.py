"""The best connected set out of some: a search over numbers, which knows nothing of devices.

Best is the greatest sum of what its pairs are worth; among such the least cost, which is what the
choice breaks elsewhere; among such the first in the order given. Exact for up to `EXACT` of them:
a search in order that leaves out what cannot be better, and of several that are alike takes the
first ones, so that hosts as they are built need few steps. Above that, greedy from each of the
first `SEEDS`, then exchanges while one helps: at most SEEDS * count * n steps, and n * count for
each exchange. It may then overlook a better set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

EXACT = 16
"""Most members among which the best set is surely found."""

SEEDS = 16

Worth: TypeAlias = Sequence[Sequence[int]]
"""What each pair is worth, both ways round; 0 on the diagonal."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to choose from.

    Attributes:
        worth: Of each pair, none negative.
        cost: Of each member.
        count: How many to choose.
        fixed: Members that must be chosen, at most `count`.
        joined: Where given, the chosen must be joined pair by pair.
    """

    worth: Worth
    cost: Sequence[int]
    count: int
    fixed: tuple[int, ...] = ()
    joined: Sequence[Sequence[bool]] | None = None

    def fits(self, one: int, chosen: Sequence[int]) -> bool:
        """Say whether *one* is joined with all the chosen, where that is a condition."""
        return self.joined is None or all(self.joined[one][other] for other in chosen)

    def clique(self, chosen: Sequence[int]) -> bool:
        """Say whether *chosen* are joined pair by pair, where that is a condition."""
        return self.joined is None or all(self.joined[i][j] for i, j in combinations(chosen, 2))

    def value(self, chosen: Sequence[int]) -> tuple[int, int]:
        """Give what makes one choice better than another: the greater, the better."""
        inside = sum(self.worth[one][two] for one, two in combinations(chosen, 2))
        return inside, -sum(self.cost[one] for one in chosen)


def best(choice: Choice) -> tuple[int, ...] | None:
    """Give the best set, ascending; None where there is none."""
    size = len(choice.cost)
    if size < choice.count or not choice.clique(choice.fixed):
        return None
    if size == choice.count:
        return tuple(range(size)) if choice.clique(range(size)) else None
    plain = choice.joined is None and not any(map(any, choice.worth))
    if plain or (choice.count == 1 and not choice.fixed):
        free = sorted(
            set(range(size)) - set(choice.fixed), key=lambda one: (choice.cost[one], one)
        )
        return tuple(sorted((*choice.fixed, *free[: choice.count - len(choice.fixed)])))
    found = _Search(choice).run() if size <= EXACT else _greedy(choice)
    return None if found is None else tuple(sorted(found))


class _Search:
    """Depth first, in the order given; so of equals the first is found first, and stays."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._free = [one for one in range(len(choice.cost)) if one not in choice.fixed]
        self._greatest = max(map(max, choice.worth))
        self._twins = {one: self._twin(at) for at, one in enumerate(self._free)}
        self._best: tuple[int, int] | None = None
        self._found: tuple[int, ...] | None = None

    def run(self) -> tuple[int, ...] | None:
        fixed = self._choice.fixed
        gains = [sum(row[one] for one in fixed) for row in self._choice.worth]
        self._descend(0, fixed, self._choice.value(fixed), gains)
        return self._found

    def _twin(self, at: int) -> int | None:
        """Find the last one before that is like it in everything: it is chosen first."""
        one = self._free[at]
        return next((two for two in reversed(self._free[:at]) if self._alike(one, two)), None)

    def _alike(self, one: int, two: int) -> bool:
        choice = self._choice
        if choice.cost[one] != choice.cost[two]:
            return False
        others = [at for at in range(len(choice.cost)) if at not in (one, two)]
        rows = (choice.worth,) if choice.joined is None else (choice.worth, choice.joined)
        return all(row[one][at] == row[two][at] for row in rows for at in others)

    def _descend(
        self, start: int, chosen: tuple[int, ...], value: tuple[int, int], gains: list[int]
    ) -> None:
        missing = self._choice.count - len(chosen)
        if missing == 0:
            if self._best is None or value > self._best:
                self._best, self._found = value, chosen
            return
        rest = self._free[start:]
        if len(rest) < missing or self._hopeless(rest, missing, value, gains):
            return
        for at, one in enumerate(rest, start):
            twin = self._twins[one]
            if (twin is None or twin in chosen) and self._choice.fits(one, chosen):
                row = self._choice.worth[one]
                after = (value[0] + gains[one], value[1] - self._choice.cost[one])
                more = [gain + worth for gain, worth in zip(gains, row, strict=True)]
                self._descend(at + 1, (*chosen, one), after, more)

    def _hopeless(
        self, rest: list[int], missing: int, value: tuple[int, int], gains: list[int]
    ) -> bool:
        """Say whether nothing that begins so can be better than what was found."""
        if self._best is None:
            return False
        gained = sum(sorted((gains[one] for one in rest), reverse=True)[:missing])
        among = missing * (missing - 1) // 2 * self._greatest
        spent = sum(sorted(self._choice.cost[one] for one in rest)[:missing])
        return (value[0] + gained + among, value[1] - spent) <= self._best


def _greedy(choice: Choice) -> list[int] | None:
    """Grow a set from each of the first, take the best, and exchange while that helps."""
    free = [one for one in range(len(choice.cost)) if one not in choice.fixed]
    fixed = list(choice.fixed)
    seeds = [fixed] if fixed else [[one] for one in sorted(free, key=choice.cost.__getitem__)]
    grown = (_grown(choice, seed, free) for seed in seeds[:SEEDS])
    found = [one for one in grown if one is not None]
    if not found:
        return None
    chosen = max(found, key=choice.value)
    while (better := _exchanged(choice, chosen, free)) is not None:
        chosen = better
    return chosen


def _grown(choice: Choice, seed: list[int], free: Sequence[int]) -> list[int] | None:
    chosen = list(seed)
    while len(chosen) < choice.count:
        fitting = [one for one in free if one not in chosen and choice.fits(one, chosen)]
        if not fitting:
            return None
        chosen.append(max(fitting, key=lambda one: _gain(choice, one, chosen)))
    return chosen


def _gain(choice: Choice, one: int, chosen: Sequence[int]) -> tuple[int, int]:
    row = choice.worth[one]
    return sum(row[other] for other in chosen), -choice.cost[one]


def _exchanged(choice: Choice, chosen: Sequence[int], free: Sequence[int]) -> list[int] | None:
    """Give the first set that differs in one member and is better."""
    value = choice.value(chosen)
    for at in range(len(choice.fixed), len(chosen)):
        without = [*chosen[:at], *chosen[at + 1 :]]
        kept = choice.value(without)
        for one in free:
            inside, cost = _gain(choice, one, without)
            better = (kept[0] + inside, kept[1] + cost) > value
            if better and one not in chosen and choice.fits(one, without):
                return [*without, one]
    return None
