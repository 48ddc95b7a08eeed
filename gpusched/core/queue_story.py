"""The sentences of the history about requests that wait. They stand under the lease to come."""

from collections.abc import Mapping

from gpusched.core.changes import StoryKind, StoryLine, StoryTold
from gpusched.core.durations import in_words
from gpusched.core.explain import describe
from gpusched.core.ids import Moment
from gpusched.core.lease import Lease
from gpusched.core.story import granted
from gpusched.core.waiting import Waiting


def queued(waiting: Waiting, now: Moment) -> StoryTold:
    """Tell that a request begins to wait."""
    sentence = f"{waiting.user or waiting.uid} waits for {describe(waiting.request)}"
    return _told(waiting, StoryKind.QUEUED, sentence, now)


def served(lease: Lease, waiting: Waiting, now: Moment) -> StoryTold:
    """Tell that a request that waited was granted."""
    line = granted(lease, now).line
    waited = in_words(now.instant - waiting.arrived.instant)
    sentence = f"{line.sentence}, after {waited}"
    return StoryTold(StoryLine(line.wall, line.kind, line.entity, sentence, line.data))


def gives_way(lease: Lease, waiting: Waiting, who: str, notice: int, now: Moment) -> StoryTold:
    """Tell that a lease ends soon for a request of a higher class, of *who*."""
    sentence = f"gives way to {who}, who waits in the class {waiting.priority}: it ends in"
    return _of(lease, waiting, f"{sentence} {in_words(notice)}", now)


def stays(lease: Lease, now: Moment) -> StoryTold:
    """Tell that a lease stays that had been told to end."""
    sentence = "stays: nobody waits for its place any more"
    return StoryTold(StoryLine(now.wall, StoryKind.GIVES_WAY, lease.id, sentence))


def left(waiting: Waiting, why: str, now: Moment) -> StoryTold:
    """Tell that a request waits no longer, and was not granted."""
    return _told(waiting, StoryKind.UNQUEUED, f"waits no longer: {why}", now)


def _of(lease: Lease, waiting: Waiting, sentence: str, now: Moment) -> StoryTold:
    data = {"for": waiting.lease_id, "priority": waiting.priority}
    return StoryTold(StoryLine(now.wall, StoryKind.GIVES_WAY, lease.id, sentence, data))


def _told(waiting: Waiting, kind: StoryKind, sentence: str, now: Moment) -> StoryTold:
    data: Mapping[str, str] = {"uid": str(waiting.uid), "request_id": waiting.request.request_id}
    return StoryTold(StoryLine(now.wall, kind, waiting.lease_id, sentence, data))
