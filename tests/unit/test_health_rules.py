"""How bad a fault is, and what is said of it."""

import pytest

from gpusched.core.fault import DeviceFault, FaultKind
from gpusched.core.health_rules import (
    CAREFUL,
    HealthRules,
    Severity,
    key_of,
    reason_of,
    recovery_of,
    severity_of,
)
from tests.fakes.builders import device

GPU = device(0).uuid


def xid(number: int) -> DeviceFault:
    return DeviceFault(GPU, FaultKind.XID, number)


@pytest.mark.parametrize("number", [13, 31, 43, 45, 68, 109])
def test_a_fault_of_a_program_is_not_the_devices(number: int) -> None:
    """The XIDs that a program causes mark no device."""
    assert severity_of(xid(number), CAREFUL) is Severity.NOTHING
    assert reason_of(xid(number)) == f"XID {number}: a fault of the program that ran"


@pytest.mark.parametrize("number", [48, 62, 64, 74, 79, 95, 119, 120, 140])
def test_a_fault_that_needs_a_reset_is_hard(number: int) -> None:
    """What NVIDIA's catalogue answers with a reset or a restart lasts, and says what helps."""
    assert severity_of(xid(number), CAREFUL) is Severity.HARD
    assert recovery_of(xid(number))
    assert reason_of(xid(number)).startswith(f"XID {number}: ")


@pytest.mark.parametrize("number", [63, 92, 94, 999])
def test_what_is_not_known_to_last_is_soft(number: int) -> None:
    """Every other XID, one that nobody knows included, goes by time."""
    assert severity_of(xid(number), CAREFUL) is Severity.SOFT
    assert (reason_of(xid(number)), recovery_of(xid(number))) == (f"XID {number}", "")
    assert key_of(xid(number)) == f"xid-{number}"


@pytest.mark.parametrize("number", [106, 107, 154])
def test_a_message_is_no_fault(number: int) -> None:
    """What only informs marks nothing."""
    assert severity_of(xid(number), CAREFUL) is Severity.NOTHING


def test_the_operator_knows_better() -> None:
    """An XID that is ignored marks nothing and one that is fatal lasts, whatever it is."""
    rules = HealthRules(ignored=(79, 94), fatal=(13, 94))
    found = [severity_of(xid(number), rules) for number in (79, 13, 94)]
    assert found == [Severity.NOTHING, Severity.HARD, Severity.NOTHING]


@pytest.mark.parametrize(
    ("kind", "severity", "key", "recovery"),
    [
        (FaultKind.ECC_CORRECTED, Severity.NOTHING, None, ""),
        (FaultKind.ECC_UNCORRECTED, Severity.HARD, "ecc-double-bit", "reset the GPU"),
        (FaultKind.UNAVAILABLE, Severity.HARD, "gpu-unavailable", ""),
    ],
)
def test_faults_without_an_xid(
    kind: FaultKind, severity: Severity, key: str | None, recovery: str
) -> None:
    """A corrected error marks nothing, an uncorrected one and a GPU that is unavailable last."""
    fault = DeviceFault(GPU, kind)
    assert severity_of(fault, CAREFUL) is severity
    assert key is None or key_of(fault) == key
    assert recovery_of(fault) == recovery
    assert "error" in reason_of(fault) or "unavailable" in reason_of(fault)
