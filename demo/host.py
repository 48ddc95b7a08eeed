"""The stage of the demo: commands and what they print are shown, and what may not be is told."""

import json
import os
import signal
import subprocess
import sys

from tools.stage import GPUSCHED, Failed, Stage

HOST = "4xA100-80GB,4xL4"
CONFIG = '[overuse]\ngrace = "2s"\n[leases]\ngrace = "1s"\n'
"""So that nobody has to wait."""


class Demo(Stage):
    """The stage, with everything that happens on it shown."""

    def __init__(self) -> None:
        super().__init__(HOST)
        self.workers: list[subprocess.Popen[str]] = []
        self.runs: list[subprocess.Popen[str]] = []
        config = self.folder / "gpusched.toml"
        config.write_text(CONFIG)
        self.environment["GPUSCHED_CONFIG"] = str(config)

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

    def leases(self) -> dict[str, list[int]]:
        """Give the living leases by id, with the pids of their processes."""
        listed = json.loads(self.gpusched("leases", "--json").stdout)["leases"]
        return {one["id"]: [each["pid"] for each in one["processes"]] for one in listed}

    def waiting(self) -> list[str]:
        """Give the ids of the requests that wait, in the order of service."""
        listed = json.loads(self.gpusched("leases", "--json").stdout)["waiting"]
        return [one["request"]["request_id"] for one in listed]

    def holds(self) -> str:
        """Give why the daemon cannot have the kernel hold masks; empty where it can."""
        found = json.loads(self.gpusched("status", "--json").stdout)["enforcement"]
        held = found["level"] not in ("ENFORCEMENT_LEVEL_ADVISORY", "ENFORCEMENT_LEVEL_LANDLOCK")
        return "" if held else str(found["sentence"])

    def start_run(self, *command: str) -> tuple[str, list[str]]:
        """Start a command under a lease; give the lease's id and the first two lines it says."""
        before = self.leases()
        started = self.start(str(GPUSCHED), "run", "--gpu-type", "l4", "--", *command)
        self.runs.append(started)
        lines = [started.stdout.readline().strip() if started.stdout else "" for _ in range(2)]
        fresh = self.leases().keys() - before.keys()
        if len(fresh) != 1 or not all(lines):
            raise Failed(f"{command} did not come up under a lease: it said {lines}")
        return fresh.pop(), lines


def administers() -> bool:
    """Say whether this user may give an administrator's orders; tell where not."""
    if os.geteuid() == 0:
        return True
    print("not here: for root and the administrators' group")
    return False


def kill(pid: int) -> None:
    """End a process of the demo at once, and show it."""
    print(f"$ kill -9 {pid}")
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
