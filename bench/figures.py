"""What a measurement gives: figures beside their goals, and the lines that show them.

Nothing is measured here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Contender = Callable[[], Mapping[str, float]]
"""Measures once; gives each of its values by name."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should be.

    Attributes:
        value: The bound, in the figure's unit.
        at_least: Whether more is better.
    """

    value: float
    at_least: bool = False

    def met(self, measured: float) -> bool:
        """Say whether *measured* is as good as wanted."""
        return measured >= self.value if self.at_least else measured <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result.

    Attributes:
        name: What was measured.
        measured: The median of the rounds.
        unit: Of measured and goal.
        goal: None for a figure that only informs.
        detail: What it is made of, for whoever doubts it.
    """

    name: str
    measured: float
    unit: str
    goal: Goal | None
    detail: str

    @property
    def met(self) -> bool:
        """Say whether the goal is met; one that only informs cannot miss."""
        return self.goal is None or self.goal.met(self.measured)

    def __str__(self) -> str:
        goal = "" if self.goal is None else f"{self.goal} {self.unit}"
        verdict = "" if self.goal is None else ("ok" if self.met else "MISSED")
        measured = f"{self.measured:.2f} {self.unit}"
        return f"{self.name:<48} {measured:>9}  {goal:<9}  {verdict:<6}  {self.detail}"


class Rounds:
    """Values of every round, by name; a ratio is taken within a round, where the load is alike."""

    def __init__(self, values: Mapping[str, Sequence[float]]) -> None:
        self._values = values

    def median(self, name: str) -> float:
        """Give the median over the rounds."""
        return median(self._values[name])

    def ratio(self, name: str, base: str, goal: Goal, title: str, detail: str) -> Figure:
        """Compare two values: the median of the rounds' ratios, and how far the rounds differ."""
        ratios = [
            one / other for one, other in zip(self._values[name], self._values[base], strict=True)
        ]
        spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
        return Figure(title, median(ratios), "x", goal, f"{detail}; {spread}")


def interleaved(contenders: Sequence[Contender], rounds: int) -> Rounds:
    """Let every contender measure once a round, each round in another order."""
    values: dict[str, list[float]] = {}
    for turn in range(rounds):
        first = turn % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            for name, value in contender().items():
                values.setdefault(name, []).append(value)
    return Rounds(values)
