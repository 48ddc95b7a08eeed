"""The sentences of the history, and what they say to a program."""

from dataclasses import replace

import pytest

from gpusched.core import story
from gpusched.core.changes import NO_DATA, StoryKind, StoryLine
from gpusched.core.ids import SECOND
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from tests.fakes.builders import A, device, lease, moment, process, share

NOW = moment()
GPU, OTHER = device(0), device(1)
TWO = lease(LeaseState.RESERVED, share(GPU), share(OTHER))
BOTH = {"uid": "1000", "devices": f"{GPU.uuid},{OTHER.uuid}"}


def test_a_grant_is_told_with_its_devices() -> None:
    """A grant names the user, the devices in order, and how they are held."""
    line = story.granted(TWO, NOW).line
    assert (line.wall, line.kind, line.entity) == (NOW.wall, StoryKind.GRANTED, TWO.id)
    assert line.sentence == f"granted to user1000: {GPU.uuid}, {OTHER.uuid} exclusively"
    assert line.data == BOTH


def test_a_grant_of_memory_is_told_with_its_size() -> None:
    """A grant of a share says how much of each device it is; a uid stands for a missing name."""
    asked = Request(A, memory=4 * GIB)
    shared = replace(lease(LeaseState.RESERVED, share(GPU, 4 * GIB), request=asked), user="")
    assert story.granted(shared, NOW).line.sentence == (
        f"granted to 1000: {GPU.uuid} with 4 GiB each"
    )


def test_a_process_is_told_by_pid() -> None:
    """An attached process is told in words and as data."""
    line = story.attached(TWO, process(7), NOW).line
    assert line == StoryLine(
        NOW.wall, StoryKind.ATTACHED, TWO.id, "process 7 attached", {"pid": "7"}
    )


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_is_told_with_its_reason(reason: EndReason) -> None:
    """Each reason has a sentence, and its own word for a program."""
    over = replace(TWO, reason=reason)
    for tell, kind, verb in (
        (story.ending, StoryKind.ENDING, "ends"),
        (story.ended, StoryKind.ENDED, "ended"),
    ):
        line = tell(over, NOW).line
        assert (line.kind, line.entity) == (kind, TWO.id)
        assert line.sentence == f"{verb} because {story.REASONS[reason]}"
        assert line.data == {**BOTH, "reason": reason.value}


def test_an_end_without_a_reason_is_told_as_such() -> None:
    """What is not known is said to be unknown."""
    assert story.ended(TWO, NOW).line.sentence == "ended because of an unknown reason"


def test_the_daemon_and_devices_have_lines_of_their_own() -> None:
    """Lines that belong to no lease stand under the daemon or the device."""
    assert story.extended(90 * SECOND, "the host slept", NOW).line == StoryLine(
        NOW.wall, StoryKind.EXTENDED, "daemon", "every lease has 90 s more: the host slept"
    )
    assert story.device_appeared(GPU.uuid, NOW).line == StoryLine(
        NOW.wall, StoryKind.DEVICE_APPEARED, GPU.uuid, "answers"
    )
    assert story.device_lost(GPU.uuid, "GPU is lost", NOW).line == StoryLine(
        NOW.wall, StoryKind.DEVICE_LOST, GPU.uuid, "lost: GPU is lost"
    )
    line = story.daemon("started", NOW).line
    assert line == StoryLine(NOW.wall, StoryKind.DAEMON, "daemon", "started", NO_DATA)
