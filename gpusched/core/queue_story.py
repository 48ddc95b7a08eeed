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


def left(waiting: Waiting, why: str, now: Moment) -> StoryTold:
    """Tell that a request waits no longer, and was not granted."""
    return _told(waiting, StoryKind.UNQUEUED, f"waits no longer: {why}", now)


def _told(waiting: Waiting, kind: StoryKind, sentence: str, now: Moment) -> StoryTold:
    data: Mapping[str, str] = {"uid": str(waiting.uid), "request_id": waiting.request.request_id}
    return StoryTold(StoryLine(now.wall, kind, waiting.lease_id, sentence, data))
