"""What could be granted on each device now, asked of placement as a request would ask it."""

from collections.abc import Mapping

from gpusched.core.ids import DeviceUuid, Instant, RequestId
from gpusched.core.ledger import Ledger
from gpusched.core.replies import Verdict
from gpusched.core.request import Request
from gpusched.core.verdicts import judge

_ASKED = RequestId("status")


def whole_verdicts(ledger: Ledger, now: Instant) -> Mapping[DeviceUuid, Verdict]:
    """Judge every device for somebody who wants it whole."""
    return _verdicts(ledger, now, None)


def share_verdicts(ledger: Ledger, now: Instant) -> Mapping[DeviceUuid, Verdict]:
    """Judge every device for somebody who wants the least share; `room` says how much there is."""
    return _verdicts(ledger, now, 1)


def _verdicts(ledger: Ledger, now: Instant, memory: int | None) -> dict[DeviceUuid, Verdict]:
    # A request is for GPUs or for instances of one profile, so each kind is asked for by itself.
    profiles = dict.fromkeys(
        None if one.mig is None else one.mig.profile for one in ledger.devices.values()
    )
    found: dict[DeviceUuid, Verdict] = {}
    for profile in profiles:
        request = Request(_ASKED, memory=memory, mig_profile=profile)
        for verdict in judge(ledger, request, now):
            mig = ledger.devices[verdict.device].mig
            if (None if mig is None else mig.profile) == profile:
                found[verdict.device] = verdict
    return found
