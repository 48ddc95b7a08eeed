"""The stage of the demonstration: a daemon and workers as real processes, ended by pid.

Everything lies in one temporary folder, and nothing is left when the stage is struck.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

HOSTS = "4xA100-80GB,4xL4"
READY = 20.0
GPUSCHED = Path(sys.executable).with_name("gpusched")


class Failed(Exception):
    """The demonstration did not go as it must."""


class Stage:
    """A folder, a daemon, workers."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gpusched-demo-"))
        self.environment = {
            **os.environ,
            "GPUSCHED_SOCKET": str(self.folder / "gpusched.sock"),
            "GPUSCHED_STATE_DIR": str(self.folder / "state"),
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }
        self.environment.pop("CUDA_VISIBLE_DEVICES", None)
        self.daemon: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in (*self.workers, self.daemon):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(10)
        shutil.rmtree(self.folder)

    def start_daemon(self) -> None:
        """Start `gpusched serve` and wait until it answers."""
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                [GPUSCHED, "serve", "--simulate", HOSTS], env=self.environment, stderr=log
            )
        for _ in waiting(READY, "the daemon to answer"):
            if self.run("status", "--json", quiet=True).returncode == 0:
                return
            if self.daemon.poll() is not None:
                raise Failed((self.folder / "daemon.log").read_text())

    def kill_daemon(self) -> None:
        """End the daemon as a crash would."""
        if self.daemon is not None:
            self.daemon.send_signal(signal.SIGKILL)
            self.daemon.wait()

    def start_worker(self, name: str, memory: str, *wishes: str) -> None:
        """Start a worker and wait until it uses its memory."""
        worker = subprocess.Popen(
            [sys.executable, "-m", "demo.worker", name, memory, *wishes],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.workers.append(worker)
        lines = [worker.stdout.readline() if worker.stdout else "" for _ in range(2)]
        if not lines[1]:
            raise Failed(f"{name} did not come up: it ended with {worker.wait()}")
        print(f"  {lines[0].strip()}, pid {worker.pid}, uses {memory}")

    def run(self, *words: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command of gpusched and show it with what it prints."""
        done = subprocess.run(
            [GPUSCHED, *words], env=self.environment, capture_output=True, text=True, check=False
        )
        if not quiet:
            print(f"$ gpusched {' '.join(words)}")
            print(done.stdout + done.stderr, end="")
            if done.returncode:
                print(f"(exit code {done.returncode})")
        return done


@contextmanager
def scene(title: str) -> Iterator[None]:
    """Give a part of the demonstration its heading."""
    print(f"\n— {title}")
    yield


def waiting(seconds: float, what: str) -> Iterator[int]:
    """Go round until the caller is content; fail when *what* takes longer than *seconds*."""
    step = 0.05
    for turn in range(int(seconds / step)):
        yield turn
        # A pause, not a protocol: the demonstration polls as a user would.
        threading.Event().wait(step)
    raise Failed(f"waited {seconds:.0f} s for {what}")
