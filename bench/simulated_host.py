"""What a user's test waits for `gpusched.testing.daemon`, from nothing to gone."""

from collections.abc import Mapping
from time import perf_counter

from bench.figures import Figure, Goal, interleaved
from gpusched.testing import HostFault, daemon
from tools.stage import Failed

ROUNDS = 7


def simulated_host() -> list[Figure]:
    """Measure its start, to the first answer, and its end."""
    try:
        rounds = interleaved((_once,), ROUNDS)
    except HostFault as fault:
        raise Failed(str(fault)) from None
    start, end = (rounds.median(name) * 1e3 for name in ("start", "end"))
    detail = "two L4; ready after a sample"
    return [
        Figure("gpusched.testing.daemon, start", start, "ms", Goal(1000), detail),
        Figure("gpusched.testing.daemon, end", end, "ms", Goal(500), "nothing is left"),
    ]


def _once() -> Mapping[str, float]:
    began = perf_counter()
    with daemon("2xL4") as host:
        host.client.ping()
        ready = perf_counter()
    return {"start": ready - began, "end": perf_counter() - ready}
