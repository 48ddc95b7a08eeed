"""Surveys a simulated host in this process: scenario in, what `Node/Survey` answers out.

Everything passes the structures of NVML's C library, the binding, and the conversion of the
daemon's services.
"""

import json
import tempfile
from pathlib import Path
from typing import cast

from gpusched.adapters.nvml.survey import survey
from gpusched.core.ids import Caller, Instant, Moment
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.rpc.call import Call
from gpusched.rpc.convert_survey import survey_of
from gpusched.web.message_json import text_of
from tests.fakes.simulated_host import simulated_host

Fields = dict[str, object]

_WALL = 1_795_361_376_000_000_000  # 2026-11-22T15:29:36Z
_ROOT = Call(Caller(0, 0, admin=True))


def surveyed(scenario: str) -> Fields:
    """Give what `Node/Survey` answers on the host of *scenario*."""
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated_host(Path(folder) / "simulator", scenario),
    ):
        found = survey(simulated=True)
        now = Moment(Instant(found.at), _WALL)
        message = survey_of(found, "host-1", Ledger(Policy()), now, _ROOT)
        return cast("Fields", json.loads(text_of(message)))
