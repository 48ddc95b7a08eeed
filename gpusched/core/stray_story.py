"""The sentences about strays: in the history, and beside them on the screen."""

from gpusched.core.changes import StoryKind, StoryLine, StoryTold
from gpusched.core.durations import in_words as time_in_words
from gpusched.core.ids import SECOND, Instant, LeaseId, Moment
from gpusched.core.sample import ProcessFacts, Reading, Unavailable
from gpusched.core.sizes import in_words
from gpusched.core.stray import Stray, StrayPolicy, StrayRules, StrayStep

_SIGNALS = {
    StrayStep.WARNED: "SIGTERM",
    StrayStep.TERMINATED: "SIGKILL",
}
_SENT = {StrayStep.TERMINATED: "SIGTERM", StrayStep.KILLED: "SIGKILL"}


def came(stray: Stray, facts: ProcessFacts, memory: Reading[int], now: Moment) -> StoryTold:
    """Tell that a stray is there, and what that leads to."""
    how = {
        StrayPolicy.REPORT: "reported, and in nobody's way",
        StrayPolicy.AVOID: "avoided",
        StrayPolicy.EVICT: f"not evicted: {stray.spared}",
    }[stray.policy]
    pid = stray.process.pid
    sentence = f"{_who(facts, memory)} uses it without a lease: {how};"
    sentence += f" `gpusched adopt {pid}` gives it one"
    return _told(stray, sentence, now, _data(memory))


def warned(
    stray: Stray, facts: ProcessFacts, memory: Reading[int], rules: StrayRules, now: Moment
) -> StoryTold:
    """Tell that a stray is going to be evicted, and why it."""
    pid, would = stray.process.pid, "would be" if rules.dry_run else "is"
    sentence = (
        f"{_who(facts, memory)} uses it without a lease, and strays are evicted here:"
        f" it {would} sent SIGTERM in {time_in_words(rules.grace)} unless it ends,"
        f" or `gpusched adopt {pid}`"
    )
    return _told(stray, sentence, now, _data(memory))


def signalled(
    stray: Stray, facts: ProcessFacts, memory: Reading[int], rules: StrayRules, now: Moment
) -> StoryTold:
    """Tell which signal a stray is sent."""
    how = "would be sent" if rules.dry_run else "is sent"
    next_ = _SIGNALS.get(stray.step)
    then = "" if next_ is None else f", and {next_} in {time_in_words(rules.grace)}"
    sentence = f"{_who(facts, memory)} has no lease and {how} {_SENT[stray.step]}{then}"
    return _told(stray, sentence, now, _data(memory))


def not_sent(stray: Stray, why: str, now: Moment) -> StoryTold:
    """Tell that a stray could not be signalled."""
    return _told(stray, f"process {stray.process.pid} was not signalled: {why}", now)


def let_alone(stray: Stray, now: Moment) -> StoryTold:
    """Tell that a stray that was to be evicted is not."""
    why = stray.spared or f"strays are to {stray.policy.value} here now"
    return _told(stray, f"process {stray.process.pid} is not evicted any more: {why}", now)


def under(stray: Stray, lease: LeaseId, now: Moment) -> StoryTold:
    """Tell that a stray has come under a lease."""
    return _told(stray, f"process {stray.process.pid} is no stray any more: of {lease}", now)


def gone(stray: Stray, now: Moment) -> StoryTold:
    """Tell that a stray has left its devices."""
    return _told(stray, f"process {stray.process.pid}, which had no lease, has left it", now)


def consequence(stray: Stray, rules: StrayRules, now: Instant) -> str:
    """Say what being there leads to, in a few words for a table."""
    if stray.policy is StrayPolicy.REPORT:
        return "reported"
    if stray.policy is StrayPolicy.AVOID:
        return "avoided"
    if stray.spared:
        return f"avoided; not evicted: {stray.spared}"
    if stray.deadline is None:
        return f"{'would have been' if rules.dry_run else 'was'} sent SIGKILL"
    would = "would be sent " if rules.dry_run else ""
    return f"{would}{_SIGNALS[stray.step]} in {time_in_words(max(0, stray.deadline - now))}"


def seen_for(stray: Stray, now: Instant) -> str:
    """Say how long a stray has been there, as far as this daemon knows."""
    if stray.at_start:
        return "since before the daemon"
    seconds = (now - stray.since.instant) // SECOND
    return f"for {time_in_words(seconds * SECOND)}" if seconds else "just seen"


def user_of(facts: ProcessFacts) -> str:
    """Name the user of a process; one without a name by the uid."""
    return facts.user or f"uid {facts.uid}"


def _who(facts: ProcessFacts, memory: Reading[int]) -> str:
    size = "" if isinstance(memory, Unavailable) else f", {in_words(memory)}"
    return f"process {facts.identity.pid} ({facts.name}, {user_of(facts)}{size})"


def _data(memory: Reading[int]) -> dict[str, str]:
    return {} if isinstance(memory, Unavailable) else {"bytes": str(memory)}


def _told(
    stray: Stray, sentence: str, now: Moment, data: dict[str, str] | None = None
) -> StoryTold:
    about = {
        "pid": str(stray.process.pid),
        "uid": str(stray.uid),  # he may see it, whatever else users may see of each other
        "devices": ",".join(stray.devices),
        "policy": stray.policy.value,
        "step": stray.step.value,
        **(data or {}),
    }
    if stray.deadline is not None:
        about["deadline"] = str(now.wall_of(stray.deadline) // SECOND)
    return StoryTold(StoryLine(now.wall, StoryKind.STRAY, stray.devices[0], sentence, about))
