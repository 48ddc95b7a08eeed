"""The dispatch, and what it decides itself: settings that were read anew."""

from gpusched.core.changes import PolicyChanged
from gpusched.core.decide import decide
from gpusched.core.events import PolicyRead
from gpusched.core.policy import Policy
from tests.fakes.builders import device, moment
from tests.fakes.host import Host, sentences

SPREAD = Policy(placement="spread")


def test_settings_that_were_read_anew_are_in_force_and_told() -> None:
    """The ledger takes the new policy, and the history says what changed."""
    host = Host(device())
    changed = {"devices.placement": "spread", "leases.history": "5"}
    decision = host.do(PolicyRead(SPREAD, changed))
    assert host.ledger.policy == SPREAD
    assert decision.changes[0] == PolicyChanged(SPREAD)
    assert sentences(decision) == [
        "configuration read: devices.placement = spread, leases.history = 5"
    ]


def test_settings_that_did_not_change_are_told_too() -> None:
    """An operator who asked for a reading sees that it happened."""
    decision = Host(device()).do(PolicyRead(Policy(), {}))
    assert sentences(decision) == ["configuration read: nothing changed"]


def test_deciding_changes_nothing() -> None:
    """A decision is only a value: the ledger changes when it is applied."""
    host = Host(device())
    decide(host.ledger, PolicyRead(SPREAD, {}), moment())
    assert host.ledger.policy == Policy()
