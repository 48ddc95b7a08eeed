"""The deadlines of a lease, as one value. Ticks look at them; nothing sleeps."""

from dataclasses import dataclass

from gpusched.core.ids import Instant


@dataclass(frozen=True, slots=True)
class Clocks:
    """Deadlines of a lease (CLOCK_BOOTTIME nanoseconds); None does not run.

    Attributes:
        attach: Nobody came.
        keepalive: It was not renewed.
        time_limit: It lasted as long as was asked for.
        kill: It ends, SIGTERM has been sent to its processes, and SIGKILL is next.
        settle: It ends, and what memory is not back by then is ghost memory.
    """

    attach: Instant | None = None
    keepalive: Instant | None = None
    time_limit: Instant | None = None
    kill: Instant | None = None
    settle: Instant | None = None

    def extended(self, by: int) -> "Clocks":
        """Give the clocks with *by* nanoseconds more on each that runs."""
        running = (self.attach, self.keepalive, self.time_limit, self.kill, self.settle)
        return Clocks(*(later(one, by) for one in running))


NOTHING_RUNS = Clocks()


def missed_since(last: Instant | None, by: int, began: Instant, now: Instant) -> int:
    """Say how much of *by* nanoseconds is given back to what began at an instant.

    All of it, unless it began after *last*, before which nobody was away: then its age.
    """
    return by if last is None or began <= last else now - began


def later(deadline: Instant | None, by: int) -> Instant | None:
    """Give a deadline *by* nanoseconds later; one that does not run stays so."""
    return None if deadline is None else Instant(deadline + by)
