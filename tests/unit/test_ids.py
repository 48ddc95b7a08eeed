"""Identities: what makes two of them the same, and how an instant is displayed."""

from gpusched.core.ids import SECOND, Instant, ProcessId
from tests.fakes.builders import moment


def test_an_instant_is_displayed_by_the_wall_clock_of_a_moment() -> None:
    """A deadline ten seconds ahead of a moment is displayed ten seconds after its wall time."""
    now = moment(1000)
    assert now.wall_of(Instant(now.instant + 10 * SECOND)) == now.wall + 10 * SECOND
    assert now.wall_of(Instant(now.instant - SECOND)) == now.wall - SECOND


def test_a_recycled_pid_is_another_process() -> None:
    """Two processes with one pid are told apart by their start times."""
    assert ProcessId(7, 1) != ProcessId(7, 2)
    assert ProcessId(7, 1) == ProcessId(7, 1)


def test_processes_are_listed_by_pid() -> None:
    """Processes sort by pid, then by start time."""
    assert sorted([ProcessId(9, 1), ProcessId(7, 5), ProcessId(7, 2)]) == [
        ProcessId(7, 2),
        ProcessId(7, 5),
        ProcessId(9, 1),
    ]
