"""Hosts with processes that have no lease, and what is told of them."""

from dataclasses import replace

from gpusched.core.changes import PolicyChanged, StoryKind, StoryTold
from gpusched.core.decision import Decision
from gpusched.core.ids import SECOND
from gpusched.core.policy import Policy
from gpusched.core.sample import DeviceReading, ProcessFacts
from gpusched.core.stray import Stray, StrayPolicy, StrayRules
from tests.fakes.builders import context, device, facts, process, reading
from tests.fakes.host import Host

GPU, OTHER = device(0), device(1)
EVICT = StrayRules(StrayPolicy.EVICT, grace=10 * SECOND)


def host_with(rules: StrayRules) -> Host:
    """Two devices that have been read, under these rules."""
    return Host(GPU, OTHER, policy=Policy(strays=rules, max_tick_gap=1000 * SECOND))


def ruled(host: Host, rules: StrayRules) -> None:
    """Let other rules hold from now on."""
    host.apply([PolicyChanged(replace(host.ledger.policy, strays=rules))])


def seen(host: Host, *known: ProcessFacts) -> Decision:
    """A tick that shows these processes on the first device."""
    return host.tick(on(*known), known=known)


def on(*known: ProcessFacts) -> DeviceReading:
    """The first device with these processes."""
    return reading(GPU, *(context(one.identity.pid) for one in known))


def told(decision: Decision) -> list[str]:
    """What a decision tells of strays."""
    lines = [one.line for one in decision.changes if isinstance(one, StoryTold)]
    return [one.sentence for one in lines if one.kind is StoryKind.STRAY]


def stray(host: Host, pid: int = 7) -> Stray:
    """What is known of a stray."""
    return host.ledger.strays[process(pid)]


ONE = facts(7)
