"""The sentences of the history: one function per kind, so that each is said in one way only."""

from gpusched.core.changes import StoryKind, StoryLine, StoryTold
from gpusched.core.ids import SECOND, DeviceUuid, Moment, ProcessId
from gpusched.core.lease import EndReason, Lease
from gpusched.core.sizes import in_words

REASONS: dict[EndReason, str] = {
    EndReason.RELEASED: "its holder released it",
    EndReason.EMPTY: "its last process ended",
    EndReason.ATTACH_DEADLINE: "no process was attached in time",
    EndReason.KEEPALIVE: "it was not renewed in time",
    EndReason.TIME_LIMIT: "its time limit was reached",
    EndReason.CANCELLED: "its request was cancelled",
    EndReason.REVOKED: "it was revoked",
    EndReason.PREPARE_FAILED: "its mask could not be prepared",
    EndReason.REBOOT: "the host was started anew",
}


def granted(lease: Lease, now: Moment) -> StoryTold:
    """Tell that a lease began."""
    devices = ", ".join(share.device for share in lease.shares) or "no device"
    memory = lease.request.memory
    what = "exclusively" if memory is None else f"with {in_words(memory)} each"
    sentence = f"granted to {lease.user or lease.uid}: {devices}"
    return _told(lease, StoryKind.GRANTED, f"{sentence} {what}" if lease.shares else sentence, now)


def attached(lease: Lease, process: ProcessId, now: Moment) -> StoryTold:
    """Tell that a process joined a lease."""
    data = {"pid": str(process.pid)}
    line = StoryLine(
        now.wall, StoryKind.ATTACHED, lease.id, f"process {process.pid} attached", data
    )
    return StoryTold(line)


def ending(lease: Lease, now: Moment) -> StoryTold:
    """Tell that a lease ends: its devices are settling until a sample confirms."""
    return _told(lease, StoryKind.ENDING, f"ends because {_why(lease)}", now)


def ended(lease: Lease, now: Moment) -> StoryTold:
    """Tell that a lease has ended and its devices are free."""
    return _told(lease, StoryKind.ENDED, f"ended because {_why(lease)}", now)


def extended(by: int, why: str, now: Moment) -> StoryTold:
    """Tell that every clock was extended by *by* nanoseconds."""
    sentence = f"every lease has {by // SECOND} s more: {why}"
    return StoryTold(StoryLine(now.wall, StoryKind.EXTENDED, "daemon", sentence))


def device_appeared(device: DeviceUuid, now: Moment) -> StoryTold:
    """Tell that a device answers that did not before."""
    return StoryTold(StoryLine(now.wall, StoryKind.DEVICE_APPEARED, device, "answers"))


def device_lost(device: DeviceUuid, reason: str, now: Moment) -> StoryTold:
    """Tell that a device does not answer any more."""
    return StoryTold(StoryLine(now.wall, StoryKind.DEVICE_LOST, device, f"lost: {reason}"))


def daemon(sentence: str, now: Moment) -> StoryTold:
    """Tell something about the daemon itself."""
    return StoryTold(StoryLine(now.wall, StoryKind.DAEMON, "daemon", sentence))


def _why(lease: Lease) -> str:
    return "of an unknown reason" if lease.reason is None else REASONS[lease.reason]


def _told(lease: Lease, kind: StoryKind, sentence: str, now: Moment) -> StoryTold:
    data = {"uid": str(lease.uid), "devices": ",".join(one.device for one in lease.shares)}
    if lease.reason is not None:
        data["reason"] = lease.reason.value
    return StoryTold(StoryLine(now.wall, kind, lease.id, sentence, data))
