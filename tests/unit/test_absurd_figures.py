"""Figures of a driver that cannot be: they are not known, and take no other value with them."""

from pathlib import Path

import pytest

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.sampler import NvmlSampler
from gpusched.core.ids import Caller, Instant, Moment
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.sample import Unavailable
from gpusched.core.survey import NodeSurvey
from gpusched.rpc.call import Call
from gpusched.rpc.convert_survey import survey_of
from tests.fakes.nvml_library import NO_INSTANCE, NOT_AVAILABLE, FakeLibrary, gpu

NOW = Moment(Instant(0), 0)
LAST = (1 << 63) - 1


@pytest.mark.parametrize("number", [LAST + 1, (1 << 64) - 2, -LAST - 2])
def test_a_number_that_cannot_be(number: int) -> None:
    """One absurd number is one value that is not known, and takes no other with it."""
    survey = NodeSurvey(Instant(0), {"wrong": number, "right": LAST, "least": -LAST}, ())
    call = Call(Caller(0, 0, admin=True))
    fields = survey_of(survey, "host-1", Ledger(Policy()), NOW, call).fields
    assert (fields["wrong"].failure.code, fields["wrong"].WhichOneof("value")) == (999, "failure")
    assert fields["wrong"].failure.words == "a number that cannot be"
    assert (fields["right"].number, fields["least"].number) == (LAST, -LAST)


def test_sizes_that_cannot_be() -> None:
    """Of a process what is more than its device has, and of a device what is more than any has,
    is not known: it frees, kills and grants nothing.
    """
    device, wrong = gpu(0), gpu(1)
    most = 23034 << 20
    device.rows["Compute"] = [
        (pid, memory, NO_INSTANCE, NO_INSTANCE)
        for pid, memory in enumerate((most, most + 1, NOT_AVAILABLE - 1), 1)
    ]
    wrong.memory, wrong.rows = (1 << 53, 0, 0), {"Compute": [(1, most, NO_INSTANCE, NO_INSTANCE)]}
    binding.use_library(FakeLibrary(device, wrong))
    binding.start()
    nowhere = Path("/nonexistent")
    sampler = NvmlSampler(NodePlaces(proc=nowhere, sys=nowhere), simulated=False)
    one, other = sampler.sample().devices
    assert [row.memory for row in one.contexts] == [  # type: ignore[union-attr]  # they are known
        most,
        Unavailable("the driver says more than the device has"),
        Unavailable("the driver does not know it (N/A)"),
    ]
    assert (other.memory, other.device.memory_total) == (Unavailable("sizes that cannot be"), None)
    assert [row.memory for row in other.contexts] == [most]  # type: ignore[union-attr]  # as above
    assert other.temperature_celsius == 41
