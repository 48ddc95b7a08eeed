"""The sentences about idle leases: in the history, and in the notices to their holders."""

from gpusched.core.changes import StoryKind, StoryLine, StoryTold
from gpusched.core.durations import in_words
from gpusched.core.idleness import Idle, IdleKind
from gpusched.core.ids import SECOND, Instant, Moment
from gpusched.core.lease import Lease

MISSING = {
    IdleKind.NO_PROCESS: "no process on its devices",
    IdleKind.NO_UTILIZATION: "no utilization of its devices",
}


def idle_for(idle: Idle, now: Instant) -> str:
    """Say for how long, and what is missing."""
    words = f"{MISSING[idle.kind]} for {in_words(idle.time(now))}"
    if idle.unseen >= SECOND:
        words += f", beside {in_words(idle.unseen)} of which nothing is known"
    return words


def reported(lease: Lease, idle: Idle, then: str, now: Moment) -> StoryTold:
    """Tell that a lease is idle, and what comes of it."""
    return _told(lease, idle, f"idle: {idle_for(idle, now.instant)}; {then}", now)


def kept(lease: Lease, idle: Idle, now: Moment) -> StoryTold:
    """Tell that its holder wants an idle lease all the same."""
    return _told(lease, idle, f"renewed: kept though idle, {idle_for(idle, now.instant)}", now)


def used_again(lease: Lease, idle: Idle, now: Moment) -> StoryTold:
    """Tell that a lease that was reported to be idle is so no more."""
    return _told(lease, idle, f"in use again, after {idle_for(idle, now.instant)}", now)


def _told(lease: Lease, idle: Idle, sentence: str, now: Moment) -> StoryTold:
    data = {"idle": idle.kind.value, "since": str(idle.since.wall // SECOND)}
    if idle.deadline is not None:
        data["deadline"] = str(now.wall_of(idle.deadline) // SECOND)
    return StoryTold(StoryLine(now.wall, StoryKind.IDLE, lease.id, sentence, data))
