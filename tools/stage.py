"""A daemon as a child process in a folder of its own: what demo, end-to-end tests and bench share.

Everything is ended by the process that was started, never by name, and nothing is left behind.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

GPUSCHED = Path(sys.executable).with_name("gpusched")
ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 20.0
END_SECONDS = 10.0
RUN_SECONDS = 60.0
STEP_SECONDS = 0.02


class Failed(Exception):
    """Something on the stage did not happen in time, or not as it must."""


class Stage:
    """A folder, a daemon, and the processes started on it.

    Args:
        simulate: What `--simulate` gets: a short form or a scenario file. None: real devices.
        options: More words for `gpusched serve`.
    """

    def __init__(self, simulate: str | None, *options: str) -> None:
        # Short: a socket's path has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="gps-", dir="/tmp"))
        # Processes of other users have to reach socket and devices, as on a real host.
        self.folder.chmod(0o755)
        self.socket = self.folder / "gpusched.sock"
        self.state = self.folder / "state"
        self.log = self.folder / "daemon.log"
        self.environment = {
            **{name: value for name, value in os.environ.items() if "VISIBLE_DEV" not in name},
            "GPUSCHED_SOCKET": str(self.socket),
            "GPUSCHED_STATE_DIR": str(self.state),
            "PYTHONPATH": str(ROOT),
        }
        self.daemon: subprocess.Popen[bytes] | None = None
        simulated = [] if simulate is None else ["--simulate", simulate]
        self._serve = [str(GPUSCHED), "serve", *simulated, *options]
        self._started: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()
        self.stop_daemon()
        shutil.rmtree(self.folder)

    def start_daemon(self, environment: Mapping[str, str] | None = None) -> None:
        """Start `gpusched serve` and wait until it answers.

        Raises:
            Failed: It ended, with what it said, or does not answer.
        """
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                self._serve, env={**self.environment, **(environment or {})}, stderr=log
            )
        for _ in waiting(READY_SECONDS, "the daemon to answer"):
            if self.daemon.poll() is not None:
                raise Failed(self.log.read_text())
            if self.socket.exists() and not self.gpusched("status", "--json").returncode:
                return

    def serve_in_vain(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the daemon, with more *options*, to an end that it finds by itself."""
        return self.run(*self._serve, *options, **variables)

    def kill_daemon(self) -> None:
        """End the daemon as a crash would: by SIGKILL."""
        if self.daemon is not None:
            self.daemon.send_signal(signal.SIGKILL)
            self.daemon.wait()

    def stop_daemon(self) -> int:
        """End the daemon in order; give its exit code."""
        return 0 if self.daemon is None else end(self.daemon)

    def gpusched(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of gpusched to its end."""
        return self.run(str(GPUSCHED), *words, **variables)

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with these variables beside the stage's."""
        return subprocess.run(
            command,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a process that the stage ends."""
        started = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        self._started.append(started)
        return started

    def clear(self) -> None:
        """End the processes that were started, not the daemon."""
        while self._started:
            end(self._started.pop())


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> int:
    """End *process* by SIGTERM, by SIGKILL if that does not help; give its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    code = process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return code


def waiting(seconds: float, what: str) -> Iterator[int]:
    """Go round until the caller is content.

    Raises:
        Failed: *what* takes longer than *seconds*.
    """
    pause = threading.Event()
    for turn in range(int(seconds / STEP_SECONDS)):
        yield turn
        pause.wait(STEP_SECONDS)
    raise Failed(f"waited {seconds:.0f} s for {what}")
