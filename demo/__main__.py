"""The main job, shown: daemon, workers over gRPC, status, refusals, a crash, a clean end.

Each later capability adds its scene here. It fails, with exit code 1, when a scene does not show
what it must.
"""

import json
import sys
import time

from demo.stage import Failed, Stage, scene, waiting

EXIT_LATER, EXIT_NEVER, EXIT_BAD = 75, 78, 64


def workers_ask(stage: Stage) -> None:
    """Four workers: an exclusive pair, two that share one device, one that wants an L4."""
    stage.start_worker("pair", "24GiB", "gpus=2", "gpu_types=nvidia-a100-80gb")
    stage.start_worker("share-1", "6GiB", "memory=8GiB", "gpu_types=a100")
    stage.start_worker("share-2", "7GiB", "memory=8GiB", "gpu_types=a100")
    stage.start_worker("typed", "3GiB", "gpu_types=nvidia-l4")


def status_shows(stage: Stage) -> None:
    """Status names every worker with its real pid and MiB."""
    for _ in waiting(10, "every worker in the process table"):
        seen = stage.run("status", quiet=True).stdout
        if all(str(worker.pid) in seen for worker in stage.workers):
            break
    seen = stage.run("status").stdout
    for worker, mib in zip(stage.workers, (24576, 6144, 7168, 3072), strict=True):
        if str(worker.pid) not in seen or f"{mib}MiB" not in seen:
            raise Failed(f"pid {worker.pid} with {mib}MiB is not in the process table")


def refusals_explain(stage: Stage) -> None:
    """One refusal of each kind, with its exit code."""
    for code, words in (
        (EXIT_BAD, ("--gpu-type", "nvidia-h100-80gb")),
        (EXIT_LATER, ("--gpus", "2", "--gpu-type", "a100")),
        (EXIT_NEVER, ("--memory", "100GiB")),
    ):
        if stage.run("run", *words, "--", "true").returncode != code:
            raise Failed(f"`gpusched run {' '.join(words)}` did not end with {code}")


def crash_loses_nothing(stage: Stage) -> None:
    """The same leases before a kill -9 of the daemon and after its restart."""
    before = leases(stage)
    stage.run("leases")
    print(f"$ kill -9 {stage.daemon.pid if stage.daemon else '?'}; gpusched serve …")
    stage.kill_daemon()
    stage.start_daemon()
    stage.run("leases")
    if leases(stage) != before or len(before) != len(stage.workers):
        raise Failed("the leases are not the same after the restart")


def all_ends(stage: Stage) -> None:
    """The leases end with their workers, and the daemon ends in order."""
    for worker in stage.workers:
        worker.terminate()
        worker.wait(10)
    for _ in waiting(10, "the leases to end with their workers"):
        if not leases(stage):
            break
    stage.run("status")
    if stage.daemon is not None:
        stage.daemon.terminate()
        code = stage.daemon.wait(10)
        print(f"daemon ended with {code}")
        if code:
            raise Failed("the daemon did not end in order")


def leases(stage: Stage) -> set[str]:
    """Give the ids of the living leases."""
    listed = json.loads(stage.run("leases", "--json", quiet=True).stdout)
    return {lease["id"] for lease in listed["leases"]}


def main() -> int:
    """Play every scene."""
    began = time.perf_counter()
    try:
        with Stage() as stage:
            with scene("the daemon starts over 4 A100-80GB and 4 L4 (simulated)"):
                stage.start_daemon()
                stage.run("devices")
            for title, play in (
                ("workers ask over gRPC and use what they get", workers_ask),
                ("gpusched status: real pids, real MiB", status_shows),
                ("refusals explain themselves: bad request, later, never here", refusals_explain),
                ("a crash loses no lease", crash_loses_nothing),
                ("leases end with their processes", all_ends),
            ):
                with scene(title):
                    play(stage)
    except Failed as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nThat was the main job, in {time.perf_counter() - began:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
