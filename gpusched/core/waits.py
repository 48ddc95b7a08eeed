"""What has to happen for a request that waits to be granted: in words, for everybody."""

from collections.abc import Iterator

from gpusched.core.replies import FOR_EVER, Obstacle, Refusal, Rejected
from gpusched.core.sight import Sight

FREE = "the devices to be free and readable"
CHANGED = "the host or its configuration to change"

_ENDS = (Obstacle.HELD, Obstacle.SETTLING, Obstacle.TOO_LITTLE_FREE, Obstacle.MOVING)
"""Obstacles that go with the leases in the way, where there are some that may be named."""

_WORDS = {
    Obstacle.HELD: "leases to end",
    Obstacle.SETTLING: "the memory of leases that ended to come back",
    Obstacle.TOO_LITTLE_FREE: "memory to be freed",
    Obstacle.STARTING: "the memory of what starts to settle",
    Obstacle.STRANGER: "processes without a lease to leave",
    Obstacle.GHOST: "ghost memory to come back or to be forgotten",
    Obstacle.CORDONED: "an operator to uncordon devices",
    Obstacle.TAINTED: "faults of devices to clear",
    Obstacle.LOST: "lost devices to answer again",
    Obstacle.UNREAD: "devices to be read again",
    Obstacle.KEPT: "requests that came before to be served",
    Obstacle.MOVING: "a device to have moved to its pool",
    Obstacle.OTHER_HOLDER: "devices that others share to be free",
    Obstacle.COMPUTE_MODE: "the compute mode of devices to be another",
    Obstacle.RELEASED: "the driver to be taken up again",
}


def waits_for(rejected: Rejected, others: Sight) -> str:
    """Say what has to happen for a request to be granted: one of these, or several.

    What can never be granted as things are is said with the reason.
    """
    if rejected.why is not Refusal.LATER:
        return f"{CHANGED}: {rejected.sentence}"
    return ", or ".join(dict.fromkeys(_parts(rejected, others))) or FREE


def _parts(rejected: Rejected, others: Sight) -> Iterator[str]:
    named = bool(rejected.holders) and others.device
    if named:
        leases = ", ".join(
            f"{one.lease} of {one.user or one.uid}" if others.uid else one.lease
            for one in rejected.holders
        )
        yield f"the end of {leases}"
    elif rejected.excess is not None:
        yield f"room in the quota of {rejected.excess.subject}"
    for one in rejected.verdicts:
        if one.obstacle is None or one.obstacle in FOR_EVER:
            continue
        if not (named and one.obstacle in _ENDS and one.leases):
            yield _WORDS.get(one.obstacle, FREE)
