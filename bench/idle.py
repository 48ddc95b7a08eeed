"""What the daemon costs a host on which nothing happens."""

import threading

import psutil

from bench.figures import Figure, Goal
from tools.stage import Failed, Stage

HOST = "8xH100"
SETTLE = 3.0
SECONDS = 24.0
MB = 1_000_000


def idle() -> list[Figure]:
    """Measure the daemon and its NVML child over some seconds without a client."""
    pause = threading.Event()
    with Stage(HOST) as stage:
        stage.start_daemon()
        if stage.daemon is None:
            raise Failed("no daemon")
        pause.wait(SETTLE)
        daemon = psutil.Process(stage.daemon.pid)
        family = [daemon, *daemon.children(recursive=True)]
        before = [_cpu(one) for one in family]
        pause.wait(SECONDS)
        if [daemon, *daemon.children(recursive=True)] != family:
            raise Failed("processes of the daemon came or went meanwhile")
        used = [_cpu(one) - was for one, was in zip(family, before, strict=True)]
        resident = [one.memory_info().rss / MB for one in family]
        proportional = sum(one.memory_full_info().pss for one in family) / MB
        # The proportional size alone would flatter: this process has grpc's library mapped, too.
        own = [one.memory_full_info().uss / MB for one in family[1:]]
    each = " + ".join(f"{one / SECONDS:.2%}" for one in used)
    return [
        Figure(
            "idle, 8 devices: CPU of a core, daemon + child",
            sum(used) / SECONDS * 100,
            "%",
            Goal(1),
            f"{each}, over {SECONDS:.0f} s",
        ),
        Figure(
            "idle, 8 devices: RSS of daemon + child's own",
            resident[0] + sum(own),
            "MB",
            Goal(80),
            f"RSS {' + '.join(f'{one:.0f}' for one in resident)} MB, PSS {proportional:.0f} MB",
        ),
    ]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
