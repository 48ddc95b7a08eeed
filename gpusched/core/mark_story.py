"""The sentences of the history about marks, faults and the driver: one function per kind."""

from gpusched.core.changes import StoryKind, StoryLine, StoryTold
from gpusched.core.fault import DeviceFault
from gpusched.core.ids import DeviceUuid, Moment
from gpusched.core.marks import Cordon, Taint


def cordoned(device: DeviceUuid, cordon: Cordon, now: Moment) -> StoryTold:
    """Tell that a device takes no new leases, and what becomes of those it has."""
    what = "cordoned" if cordon.deadline is None else "drained"
    sentence = f"{what} by {cordon.user or f'uid {cordon.uid}'}: {cordon.reason}"
    data = {"reason": cordon.reason, "uid": str(cordon.uid)}
    if cordon.deadline is not None:
        data["deadline"] = str(now.wall_of(cordon.deadline) // 10**9)
    return StoryTold(StoryLine(now.wall, StoryKind.CORDONED, device, sentence, data))


def uncordoned(device: DeviceUuid, who: str, now: Moment) -> StoryTold:
    """Tell that a device takes new leases again, as far as the operator is concerned."""
    return StoryTold(StoryLine(now.wall, StoryKind.UNCORDONED, device, f"uncordoned by {who}"))


def tainted(device: DeviceUuid, taint: Taint, now: Moment) -> StoryTold:
    """Tell that a device reported a fault, and what that does to scheduling."""
    sentence = f"tainted {taint.key} ({taint.effect.value}): {taint.reason}"
    data = {"taint": taint.key, "effect": taint.effect.value}
    return StoryTold(StoryLine(now.wall, StoryKind.TAINTED, device, sentence, data))


def taint_cleared(device: DeviceUuid, key: str, why: str, now: Moment) -> StoryTold:
    """Tell that a taint is off a device."""
    sentence = f"taint {key} cleared: {why}"
    data = {"taint": key}
    return StoryTold(StoryLine(now.wall, StoryKind.TAINT_CLEARED, device, sentence, data))


def fault_reported(fault: DeviceFault, reason: str, count: int, now: Moment) -> StoryTold:
    """Tell of a fault that does not mark its device; equal ones of one sample together."""
    times = "" if count == 1 else f" ({count} times)"
    key = f"{fault.kind.value} {fault.number}".removesuffix(" 0")
    data = {"fault": key, "count": str(count)}
    line = StoryLine(now.wall, StoryKind.FAULT, fault.device, f"reported {reason}{times}", data)
    return StoryTold(line)


def driver_released(who: str, reason: str, now: Moment) -> StoryTold:
    """Tell that the driver was let go: nothing is read and nothing granted until it is back."""
    sentence = f"the driver was let go by {who}" + (f": {reason}" if reason else "")
    return StoryTold(StoryLine(now.wall, StoryKind.DRIVER, "daemon", sentence))


def driver_resumed(by: str, now: Moment) -> StoryTold:
    """Tell that the driver is taken up again."""
    sentence = f"the driver is taken up again by {by}"
    return StoryTold(StoryLine(now.wall, StoryKind.DRIVER, "daemon", sentence))
