"""What could be granted on each device now, asked of placement as a request would ask it."""

from collections.abc import Mapping

from gpusched.core.device import Device
from gpusched.core.ids import DeviceUuid, Instant, RequestId
from gpusched.core.ledger import Ledger
from gpusched.core.pooling import configured
from gpusched.core.replies import Verdict
from gpusched.core.request import Request
from gpusched.core.reserving import verdicts_for

_ASKED = RequestId("status")


def whole_verdicts(ledger: Ledger, now: Instant) -> Mapping[DeviceUuid, Verdict]:
    """Judge every device for somebody who wants it whole."""
    return _verdicts(ledger, now, None)


def share_verdicts(ledger: Ledger, now: Instant) -> Mapping[DeviceUuid, Verdict]:
    """Judge every device for somebody who wants the least share; `room` says how much there is."""
    return _verdicts(ledger, now, 1)


def _verdicts(ledger: Ledger, now: Instant, memory: int | None) -> dict[DeviceUuid, Verdict]:
    # A request is for GPUs or for instances of one profile, and of one pool, so each kind is asked
    # for by itself.
    kinds = {one.uuid: _kind(ledger, one) for one in ledger.devices.values()}
    found: dict[DeviceUuid, Verdict] = {}
    for profile, pool in dict.fromkeys(kinds.values()):
        request = Request(_ASKED, memory=memory, mig_profile=profile, pool=pool)
        for verdict in verdicts_for(ledger, request, now, None):
            if kinds[verdict.device] == (profile, pool):
                found[verdict.device] = verdict
    return found


def _kind(ledger: Ledger, device: Device) -> tuple[str | None, str]:
    return None if device.mig is None else device.mig.profile, configured(ledger, device)
