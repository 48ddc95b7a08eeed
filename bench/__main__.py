"""`make bench`: every figure of the benchmarks beside its goal.

`python -m bench [GROUP…]` measures some groups only. A missed goal is a result, not a failure: the
exit code is 0 unless something could not be measured. The machine should have nothing else to do;
figures are ratios within a run because it usually has.
"""

import argparse
import os
import sys
from collections.abc import Callable
from time import perf_counter

from bench.cold import cold
from bench.figures import Figure
from bench.first_response import first_response
from bench.hanging import hanging
from bench.hot_spots import profile
from bench.idle import idle
from bench.latency import latency
from bench.masks import masks
from bench.scheduling import scheduling
from bench.simulated_host import simulated_host
from bench.splice import splice
from bench.throughput import throughput
from bench.ticks import ticks
from tools.stage import Failed

GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "latency": latency,
    "throughput": throughput,
    "masks": masks,
    "splice": splice,
    "cold": cold,
    "first_response": first_response,
    "simulated_host": simulated_host,
    "idle": idle,
    "ticks": ticks,
    "hanging": hanging,
    "scheduling": scheduling,
}
ON_DEMAND: dict[str, Callable[[], list[Figure]]] = {"profile": profile}
"""What only prints, and only when it is named."""


def main() -> int:
    """Measure the groups that were asked for, or all."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    known = GROUPS | ON_DEMAND
    parser.add_argument("group", nargs="*", help=", ".join(known))
    chosen = parser.parse_args().group or list(GROUPS)
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"there is no group {', '.join(unknown)}; there are {', '.join(known)}")
    began = perf_counter()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n")
    figures: list[Figure] = []
    failed = 0
    for name in chosen:
        try:
            measured = known[name]()
        except Failed as error:
            failed += 1
            print(f"{name} could not be measured: {error}", file=sys.stderr)
            continue
        figures += measured
        for figure in measured:
            print(figure, flush=True)
    missed = sum(not figure.met for figure in figures)
    took = perf_counter() - began
    print(f"\n{len(figures) - missed} ok, {missed} MISSED, in {took:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
