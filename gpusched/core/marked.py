"""What marks on devices, and a driver that is let go, mean for leases: who gets none, who ends.

A mark on a GPU holds for its MIG instances too. Doubt plays no part: there is no mark without
somebody who said so.
"""

from collections.abc import Iterator

from gpusched.core.device import Device
from gpusched.core.durations import in_words
from gpusched.core.ids import DeviceUuid, Instant
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.marks import Cordon, Marks, Taint, TaintEffect
from gpusched.core.replies import Obstacle, Verdict
from gpusched.core.share import Share

_BARS = (TaintEffect.NO_SCHEDULE, TaintEffect.EVICT)


def marks_over(ledger: Ledger, device: Device) -> Marks:
    """Give the marks that hold for *device*: its own, and those of the GPU that it is on."""
    own = ledger.marks_of(device.uuid)
    if device.mig is None:
        return own
    gpu = ledger.marks_of(device.mig.parent)
    return Marks(gpu.cordon or own.cordon, (*gpu.taints, *own.taints))


def barred(device: Device, ledger: Ledger, now: Instant) -> Verdict | None:
    """Say what keeps new leases off *device* by somebody's word; None: nothing does."""
    if ledger.released is not None:
        return Verdict(device.uuid, Obstacle.RELEASED, let_go(ledger.released))
    marks = marks_over(ledger, device)
    if marks.cordon is not None:
        sentence = _cordoned(marks.cordon, now)
        return Verdict(device.uuid, Obstacle.CORDONED, sentence, since=marks.cordon.at)
    # That it does not answer says more than that it did not a while ago.
    taints = [] if device.uuid in ledger.lost else [one for one in marks.taints if bars(one)]
    if not taints:
        return None
    sentence = "; ".join(_tainted(one, now) for one in taints)
    return Verdict(device.uuid, Obstacle.TAINTED, sentence, since=taints[0].at)


def bars(taint: Taint) -> bool:
    """Say whether a taint keeps new leases away."""
    return taint.effect in _BARS


def let_go(why: str) -> str:
    """Say that the driver is let go, and what to do about it."""
    reason = f": {why}" if why else ""
    return f"the driver has been let go{reason}; `gpusched nvml resume` takes it up again"


def leases_on(ledger: Ledger, device: DeviceUuid) -> Iterator[Lease]:
    """Give the usable leases that have a share of *device*, or of an instance of it."""
    for lease in ledger.live():
        if lease.usable and any(_on(share, device) for share in lease.shares):
            yield lease


def marks_of_share(ledger: Ledger, share: Share) -> Iterator[Marks]:
    """Give the marks that hold for a share, also while its device is absent."""
    yield ledger.marks_of(share.device)
    gpu = _gpu_of(share)
    if gpu != share.device:
        yield ledger.marks_of(gpu)


def drained(ledger: Ledger, device: DeviceUuid) -> bool:
    """Say whether no lease holds anything of *device* any more."""
    return not any(_on(share, device) for lease in ledger.live() for share in lease.shares)


def _on(share: Share, device: DeviceUuid) -> bool:
    return device in (share.device, _gpu_of(share))


def _gpu_of(share: Share) -> DeviceUuid:
    """Give the GPU that a share is on: its memory domain is named after it."""
    return DeviceUuid(share.domain.partition("/")[0])


def _cordoned(cordon: Cordon, now: Instant) -> str:
    what = "cordoned" if cordon.deadline is None else "drained"
    who = cordon.user or f"uid {cordon.uid}"
    return f"{what} by {who} {in_words(now - cordon.at.instant)} ago: {cordon.reason}"


def _tainted(taint: Taint, now: Instant) -> str:
    words = f"tainted {in_words(now - taint.at.instant)} ago: {taint.reason}"
    if taint.clears is not None:
        words += f" (clears in {in_words(max(0, taint.clears - now))})"
    return f"{words} (what helps: {taint.recovery})" if taint.recovery else words
