"""Surveys on the wire: what a driver says is told, and what cannot be is said not to be known."""

import pytest

from gpusched.core.ids import Caller, Instant, Moment
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.survey import NodeSurvey
from gpusched.rpc.call import Call
from gpusched.rpc.convert_survey import survey_of

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
