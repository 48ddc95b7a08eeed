"""Surveys on the wire: what a caller may see of the processes in them."""

import pytest

from gpusched.api.v1 import survey_pb2
from gpusched.core.ids import Caller
from gpusched.core.policy import Policy
from gpusched.core.sight import Sight
from gpusched.core.survey import NodeSurvey, SurveyedDevice, SurveyedProcess
from gpusched.rpc.call import Call
from gpusched.rpc.convert_survey import survey_of
from tests.fakes.builders import ADA, BOB, ROOT, context, device, facts, reading
from tests.fakes.host import Host

ROW = SurveyedProcess(20, "M+C", "/home/ada/python", 1 << 30, compute=True)


def surveyed(caller: Caller) -> survey_pb2.SurveyedDevice:
    """A GPU with an MPS client of ADA's, where nobody sees what others have."""
    host = Host(device(0), policy=Policy(others=Sight(device=False)))
    host.tick(reading(device(0), context(20)), known=[facts(20, ADA.uid)])
    survey = NodeSurvey(
        host.now.instant, {}, (SurveyedDevice(0, processes=(ROW,), mps_pids=(20, 20)),)
    )
    return survey_of(survey, "host-1", host.ledger, host.now, Call(caller)).devices[0]


@pytest.mark.parametrize(("caller", "seen"), [(ADA, True), (ROOT, True), (BOB, False)])
def test_who_may_not_see_a_process_sees_no_client(caller: Caller, seen: bool) -> None:  # noqa: FBT001 - a case
    """A client in the list of MPS is shown to whom its process is, as often as it stands there."""
    found = surveyed(caller)
    assert [one.pid for one in found.processes] == [20] * seen
    assert list(found.mps_pids) == [20, 20] * seen
