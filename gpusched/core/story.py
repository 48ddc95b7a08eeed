"""The sentences of the history: one function per kind, so that each is said in one way only."""

from collections.abc import Mapping, Sequence

from gpusched.core.changes import StoryKind, StoryLine, StoryTold
from gpusched.core.ghost import Ghost
from gpusched.core.ids import SECOND, DeviceUuid, LeaseId, Moment, ProcessId
from gpusched.core.lease import EndReason, Lease
from gpusched.core.sample import OpenNode
from gpusched.core.sizes import in_words
from gpusched.core.violation import Violation

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
    EndReason.OVER_LIMIT: "it held more memory than its limit",
    EndReason.DRAINED: "its device was drained",
    EndReason.DEVICE_FAILED: "its device failed",
    EndReason.IDLE: "it was idle",
    EndReason.PREEMPTED: "it gave way to a request of a higher class",
}


def granted(lease: Lease, now: Moment) -> StoryTold:
    """Tell that a lease began."""
    devices = ", ".join(share.device for share in lease.shares) or "no device"
    memory, alone = lease.limit, any(share.exclusive for share in lease.shares)
    sizes = "" if memory is None else f"with {in_words(memory)} each"
    what = " ".join(filter(None, ["exclusively" if alone else "", sizes]))
    sentence = f"granted to {lease.user or lease.uid}: {devices}"
    return _told(lease, StoryKind.GRANTED, f"{sentence} {what}" if lease.shares else sentence, now)


def attached(lease: Lease, process: ProcessId, now: Moment) -> StoryTold:
    """Tell that a process joined a lease."""
    data = {"pid": str(process.pid)}
    line = StoryLine(
        now.wall, StoryKind.ATTACHED, lease.id, f"process {process.pid} attached", data
    )
    return StoryTold(line)


def enforcement(lease: LeaseId, sentence: str, now: Moment) -> StoryTold:
    """Tell how far the mask of a lease is held, where that is not what was asked for."""
    return StoryTold(StoryLine(now.wall, StoryKind.ENFORCEMENT, lease, sentence))


def escaped(lease: Lease, processes: Sequence[ProcessId], now: Moment) -> StoryTold:
    """Tell that descendants of an attached process could not be taken along."""
    pids = ",".join(str(one.pid) for one in processes)
    sentence = f"processes {pids} were not taken along: they are strays"
    data = {"pids": pids}
    return StoryTold(StoryLine(now.wall, StoryKind.ENFORCEMENT, lease.id, sentence, data))


def open_outside(lease: Lease, nodes: Sequence[OpenNode], now: Moment) -> StoryTold:
    """Tell that processes had devices open that their mask denies: it cannot close them."""
    what = ", ".join(f"{one.path} by {one.process.pid}" for one in nodes)
    data = {"pids": ",".join(str(one.process.pid) for one in nodes)}
    sentence = f"open before the mask, and stays open: {what}"
    return StoryTold(StoryLine(now.wall, StoryKind.ENFORCEMENT, lease.id, sentence, data))


def denied(
    lease: LeaseId | None, pid: int | None, nodes: Mapping[str, int], now: Moment
) -> StoryTold:
    """Tell that the kernel denied opens: of which nodes, and how often each."""
    who = "a process" if pid is None else f"process {pid}"
    what = (one if count == 1 else f"{one} ({count} times)" for one, count in nodes.items())
    data = {"nodes": ",".join(nodes), "count": str(sum(nodes.values()))}
    if pid is not None:
        data["pid"] = str(pid)
    sentence = f"{who} was denied {', '.join(what)}"
    return StoryTold(StoryLine(now.wall, StoryKind.DENIED_OPEN, lease or "daemon", sentence, data))


def guard(on: bool, now: Moment) -> StoryTold:  # noqa: FBT001 - a fact
    """Tell that the host-wide guard is on, or off."""
    what = "cannot open devices any more" if on else "can open every device"
    sentence = f"guard {'on' if on else 'off'}: processes without a lease {what}"
    return StoryTold(StoryLine(now.wall, StoryKind.GUARD, "daemon", sentence))


def signalled(lease: Lease, what: str, now: Moment) -> StoryTold:
    """Tell that processes of a lease were sent a signal."""
    return StoryTold(StoryLine(now.wall, StoryKind.SIGNALLED, lease.id, what))


def violated(lease: Lease, violation: Violation, what: str, now: Moment) -> StoryTold:
    """Tell of a breach of a lease's terms: that it began, is over, or is acted on."""
    data = {
        "violation": violation.kind.value,
        "device": violation.device,
        "bytes": str(violation.memory),
    }
    if violation.process is not None:
        data["pid"] = str(violation.process.pid)
    return StoryTold(StoryLine(now.wall, StoryKind.VIOLATION, lease.id, what, data))


def ghost_found(device: DeviceUuid, ghost: Ghost, now: Moment) -> StoryTold:
    """Tell that memory of a lease did not come back."""
    sentence = f"{in_words(ghost.memory)} of {ghost.lease} did not come back: ghost memory"
    data = {"lease": ghost.lease, "bytes": str(ghost.memory)}
    return StoryTold(StoryLine(now.wall, StoryKind.GHOST, device, sentence, data))


def ghost_gone(device: DeviceUuid, why: str, now: Moment) -> StoryTold:
    """Tell that a device has no ghost memory any more."""
    return StoryTold(StoryLine(now.wall, StoryKind.GHOST, device, f"no ghost memory: {why}"))


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
    why = "of an unknown reason" if lease.reason is None else REASONS[lease.reason]
    return f"{why}: {lease.detail}" if lease.detail else why


def _told(lease: Lease, kind: StoryKind, sentence: str, now: Moment) -> StoryTold:
    data = {"uid": str(lease.uid), "devices": ",".join(one.device for one in lease.shares)}
    if lease.reason is not None:
        data["reason"] = lease.reason.value
    return StoryTold(StoryLine(now.wall, kind, lease.id, sentence, data))
