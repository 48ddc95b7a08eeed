"""The main job, shown: daemon, workers over gRPC, status, refusals, a crash, a clean end.

Each later capability adds its scene here. It fails, with exit code 1, when a scene does not show
what it must.
"""

import json
import subprocess
import sys
import time

from tools.stage import Failed, Stage, end, waiting

HOST = "4xA100-80GB,4xL4"
EXIT_BAD, EXIT_LATER, EXIT_NEVER = 64, 75, 78


class Demo(Stage):
    """The stage, with everything that happens on it shown."""

    def __init__(self) -> None:
        super().__init__(HOST)
        self.workers: list[subprocess.Popen[str]] = []

    def show(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of gpusched and show it with what it prints."""
        done = self.gpusched(*words)
        print(f"$ gpusched {' '.join(words)}")
        print(done.stdout + done.stderr, end="")
        if done.returncode:
            print(f"(exit code {done.returncode})")
        return done

    def start_worker(self, name: str, memory: str, *wishes: str) -> None:
        """Start a worker and wait until it uses its memory."""
        worker = self.start(sys.executable, "-m", "demo.worker", name, memory, *wishes)
        self.workers.append(worker)
        lines = [worker.stdout.readline() if worker.stdout else "" for _ in range(2)]
        if not lines[1]:
            raise Failed(f"{name} did not come up: it ended with {worker.wait()}")
        print(f"  {lines[0].strip()}, pid {worker.pid}, uses {memory}")

    def leases(self) -> set[str]:
        """Give the ids of the living leases."""
        listed = json.loads(self.gpusched("leases", "--json").stdout)
        return {lease["id"] for lease in listed["leases"]}


def daemon_starts(demo: Demo) -> None:
    """The daemon starts over 4 A100-80GB and 4 L4 (simulated)."""
    demo.start_daemon()
    demo.show("devices")


def workers_ask(demo: Demo) -> None:
    """Workers ask over gRPC: an exclusive pair, two that share one device, one wants an L4."""
    demo.start_worker("pair", "24GiB", "gpus=2", "gpu_types=nvidia-a100-80gb")
    demo.start_worker("share-1", "6GiB", "memory=8GiB", "gpu_types=a100")
    demo.start_worker("share-2", "7GiB", "memory=8GiB", "gpu_types=a100")
    demo.start_worker("typed", "3GiB", "gpu_types=nvidia-l4")


def status_shows(demo: Demo) -> None:
    """`gpusched status` has every worker with its real pid and MiB."""
    expected = [
        (str(worker.pid), f"{mib}MiB")
        for worker, mib in zip(demo.workers, (24576, 6144, 7168, 3072), strict=True)
    ]
    for _ in waiting(10, "every worker in the process table"):
        seen = demo.gpusched("status").stdout
        if all(pid in seen and memory in seen for pid, memory in expected):
            break
    demo.show("status")


def refusals_explain(demo: Demo) -> None:
    """A refusal says why and what would do: a bad request, later, never here."""
    for code, words in (
        (EXIT_BAD, ("--gpu-type", "nvidia-h100-80gb")),
        (EXIT_LATER, ("--gpus", "2", "--gpu-type", "a100")),
        (EXIT_NEVER, ("--memory", "100GiB")),
    ):
        if demo.show("run", *words, "--", "true").returncode != code:
            raise Failed(f"`gpusched run {' '.join(words)} -- true` did not end with {code}")


def crash_loses_nothing(demo: Demo) -> None:
    """A crash of the daemon loses no lease."""
    before = demo.leases()
    demo.show("leases")
    print("$ kill -9 DAEMON; gpusched serve …")
    demo.kill_daemon()
    demo.start_daemon()
    demo.show("leases")
    if demo.leases() != before or len(before) != len(demo.workers):
        raise Failed("the leases are not the same after the restart")


def all_ends(demo: Demo) -> None:
    """Leases end with their processes, and the daemon ends in order."""
    for worker in demo.workers:
        end(worker)
    for _ in waiting(10, "the leases to end with their workers"):
        if not demo.leases():
            break
    demo.show("leases", "--ended")
    code = demo.stop_daemon()
    print(f"the daemon ended with {code}")
    if code:
        raise Failed(demo.log.read_text())


SCENES = (
    daemon_starts,
    workers_ask,
    status_shows,
    refusals_explain,
    crash_loses_nothing,
    all_ends,
)


def main() -> int:
    """Play every scene."""
    began = time.perf_counter()
    try:
        with Demo() as demo:
            for scene in SCENES:
                print(f"\n— {scene.__doc__}")
                scene(demo)
    except Failed as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nThat was the main job, in {time.perf_counter() - began:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
