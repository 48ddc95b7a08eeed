"""The daemon dies again while it recovers: first deaths, each of which leaves work to the next."""

from collections.abc import Callable

from tests.e2e.faulty.ordeal import Ordeal
from tests.e2e.faulty.scenarios import (
    Scenario,
    attach_a_running_tree,
    attach_in_place,
    attach_under_the_guard,
    let_the_last_process_end,
    release_with_kill,
    revoke_in_place,
)


def _after(scenario: Scenario, boundary: str) -> Scenario:
    """Make the scenario in which the daemon recovers from its death at *boundary* of another."""

    def recover(ordeal: Ordeal) -> None:
        ordeal.die(scenario, boundary)
        ordeal.arm()
        ordeal.begin()
        ordeal.still()

    recover.__name__ = f"recover_from_{scenario.__name__}"
    return recover


RECOVERIES: tuple[Callable[[Ordeal], None], ...] = (
    _after(attach_a_running_tree, "after CgroupEnforcer.prepare 1"),
    _after(attach_in_place, "after CgroupEnforcer.prepare 1"),
    _after(attach_under_the_guard, "before CgroupEnforcer.follow 1"),
    _after(release_with_kill, "after CgroupEnforcer.signal 1"),
    _after(revoke_in_place, "before CgroupEnforcer.unprepare 1"),
    _after(let_the_last_process_end, "before CgroupEnforcer.unprepare 1"),
)
