"""The sentences of the history, and what they say to a program."""

from dataclasses import replace

import pytest

from gpusched.core import story
from gpusched.core.changes import NO_DATA, StoryKind, StoryLine
from gpusched.core.ghost import Ghost
from gpusched.core.ids import SECOND
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.request import Request
from gpusched.core.sample import OpenNode
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


def test_an_end_is_told_with_the_words_of_whoever_ended_it() -> None:
    """What an operator or the kernel said stands behind the reason."""
    over = replace(TWO, reason=EndReason.REVOKED, detail="maintenance")
    assert story.ended(over, NOW).line.sentence == "ended because it was revoked: maintenance"


def test_what_the_kernel_holds_is_told_with_its_reason() -> None:
    """A lease's line says how far its mask is held, and its processes by pid where it is not."""
    line = story.enforcement(TWO.id, "no cgroups here", NOW).line
    assert line == StoryLine(NOW.wall, StoryKind.ENFORCEMENT, TWO.id, "no cgroups here", NO_DATA)
    line = story.escaped(TWO, [process(7), process(8)], NOW).line
    assert (line.kind, line.entity, line.data) == (StoryKind.ENFORCEMENT, TWO.id, {"pids": "7,8"})
    assert line.sentence == "processes 7,8 were not taken along: they are strays"
    nodes = [OpenNode(process(7), "/dev/nvidia0", 195, 0), OpenNode(process(8), "/dev/x", 9, 9)]
    line = story.open_outside(TWO, nodes, NOW).line
    assert (line.kind, line.entity, line.data) == (StoryKind.ENFORCEMENT, TWO.id, {"pids": "7,8"})
    assert line.sentence == (
        "open before the mask, and stays open: /dev/nvidia0 by 7, /dev/x by 8"
    )


def test_a_denied_open_is_told_as_far_as_it_is_known() -> None:
    """Who was denied what, how often, and under which lease, each where the kernel can tell."""
    line = story.denied(TWO.id, 7, {"/dev/nvidia0": 1}, NOW).line
    assert (line.kind, line.entity) == (StoryKind.DENIED_OPEN, TWO.id)
    assert line.sentence == "process 7 was denied /dev/nvidia0"
    assert line.data == {"nodes": "/dev/nvidia0", "count": "1", "pid": "7"}
    line = story.denied(None, None, {"device 195:0": 3}, NOW).line
    assert (line.entity, line.data) == ("daemon", {"nodes": "device 195:0", "count": "3"})
    assert line.sentence == "a process was denied device 195:0 (3 times)"


def test_signals_are_told_under_the_lease() -> None:
    """Whoever wonders why a process died finds it in the lease's history."""
    line = story.signalled(TWO, "SIGTERM was sent to its processes", NOW).line
    assert (line.wall, line.kind, line.entity) == (NOW.wall, StoryKind.SIGNALLED, TWO.id)
    assert line.sentence == "SIGTERM was sent to its processes"


def test_the_guard_is_told_with_what_it_means() -> None:
    """On or off: what processes without a lease can do now."""
    on, off = story.guard(True, NOW).line, story.guard(False, NOW).line  # noqa: FBT003 - a fact
    assert (on.kind, on.entity, on.wall) == (StoryKind.GUARD, "daemon", NOW.wall)
    assert on.sentence == "guard on: processes without a lease cannot open devices any more"
    assert off.sentence == "guard off: processes without a lease can open every device"


def test_ghost_memory_is_told_under_its_device() -> None:
    """What did not come back is told with size and lease; that it is gone, with how."""
    line = story.ghost_found(GPU.uuid, Ghost(4 * GIB, 0, TWO.id, NOW), NOW).line
    assert (line.kind, line.entity) == (StoryKind.GHOST, GPU.uuid)
    assert line.sentence == f"4 GiB of {TWO.id} did not come back: ghost memory"
    assert line.data == {"lease": TWO.id, "bytes": str(4 * GIB)}
    gone = story.ghost_gone(GPU.uuid, "it came back", NOW).line
    assert gone == StoryLine(
        NOW.wall, StoryKind.GHOST, GPU.uuid, "no ghost memory: it came back", NO_DATA
    )
