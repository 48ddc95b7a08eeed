"""Where the daemon's time goes under load; for whoever makes it faster, no figure of its own.

First what each thread costs a call, without a profiler; then the functions of the event loop,
with cProfile, which makes small functions look dearer than they are.
"""

import pstats
import sys
from pathlib import Path

import psutil

from bench.figures import Figure
from bench.throughput import HOST, Load, loaded
from tools.stage import Failed, Stage

SECONDS = 5.0
SHOWN = 40


class ProfiledStage(Stage):
    """The stage, with a daemon under cProfile."""

    def __init__(self, simulate: str) -> None:
        super().__init__(simulate)
        self.stats = self.folder / "stats"
        profiled = (sys.executable, "-m", "bench.profiled_daemon", str(self.stats))
        self._serve = [*profiled, *self._serve[1:]]


def profile() -> list[Figure]:
    """Print where the time goes."""
    with Stage(HOST) as stage, loaded(stage) as load:
        for kind in ("null", "durable"):
            _print_threads(stage, load, kind)
    with ProfiledStage(HOST) as stage:
        with loaded(stage) as load:
            calls = load.play("durable", SECONDS)
            stage.stop_daemon()
        print(f"\n{calls} durable calls under the profiler")
        stats = pstats.Stats(str(stage.stats))
        stats.strip_dirs().sort_stats("tottime").print_stats(SHOWN)
        stats.sort_stats("cumulative").print_stats(SHOWN)
    return []


def _print_threads(stage: Stage, load: Load, kind: str) -> None:
    if stage.daemon is None:
        raise Failed("no daemon")
    daemon = psutil.Process(stage.daemon.pid)
    load.play(kind, 1.0)
    before = _cpu(daemon)
    calls = load.play(kind, SECONDS)
    after = _cpu(daemon)
    print(f"\n{kind}: {calls / SECONDS:.0f} calls/s; CPU of each thread, µs a call")
    used = {thread: spent - before.get(thread, 0.0) for thread, spent in after.items()}
    for thread, spent in sorted(used.items(), key=lambda item: -item[1]):
        if spent:
            # Warm-up and end are not counted as calls, but cost CPU: a little too much each.
            print(f"  {spent / calls * 1e6:7.1f}  {_name(daemon.pid, thread)}")


def _cpu(process: psutil.Process) -> dict[int, float]:
    return {one.id: one.user_time + one.system_time for one in process.threads()}


def _name(pid: int, thread: int) -> str:
    if thread == pid:
        return "event loop"
    try:
        return Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip()
    except OSError:
        return "a thread that has ended"
