"""The daemon dies at every boundary of every verb, one by one; nothing is lost or left over."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.faulty.ordeal import Ordeal
from tests.e2e.faulty.recoveries import RECOVERIES
from tests.e2e.faulty.scenarios import SCENARIOS, Scenario
from tests.e2e.faulty.trial import endure

pytestmark = [pytest.mark.root, pytest.mark.long]

_SIDE_BY_SIDE = 4


@pytest.fixture(scope="module")
def ordeals() -> Iterator[list[Ordeal]]:
    """Hosts on which daemons die, each with its own state and cgroups."""
    with ExitStack() as opened:
        yield [opened.enter_context(Ordeal()) for _ in range(_SIDE_BY_SIDE)]


@pytest.mark.parametrize("scenario", [*SCENARIOS, *RECOVERIES], ids=lambda one: one.__name__)
def test_a_death_at_any_boundary_is_survived(
    ordeals: list[Ordeal], scenario: Scenario, record_property: Callable[[str, object], None]
) -> None:
    """Wherever the daemon dies, ledger, cgroups and programs agree when it has come back."""
    findings = endure(ordeals, scenario)
    record_property("deaths", len(findings.died))
    record_property("missed", len(findings.missed))
    assert findings.died
    assert findings.faults == []
