"""`gpusched run` without a cgroup at a terminal: Ctrl-C and Ctrl-Z are CMD's."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from tests.fakes.gateway import gateway
from tests.integration.supervised import ANSWERS, QUEUE, RUN


class Terminal:
    """A terminal with a session of its own on it."""

    def __init__(self, front: FileIO, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._front = front
        self._seen = b""

    def type(self, text: bytes) -> None:
        """Types."""
        self._front.write(text)

    def hang_up(self) -> None:
        """Closes the terminal."""
        self._front.close()

    def until(self, text: bytes) -> bytes:
        """Waits until *text* is shown; gives what was shown before it."""
        while text not in self._seen:
            ready, _, _ = select.select([self._front], [], [], 10)
            assert ready, self._seen
            self._seen += self._front.read(4096)
        before, _, self._seen = self._seen.partition(text)
        return before


@contextmanager
def terminal(folder: Path, *words: str) -> Iterator[Terminal]:
    """Runs *words* as the leader of a session on a terminal."""
    ours, theirs = pty.openpty()
    with (
        gateway(folder, ANSWERS) as served,
        subprocess.Popen(  # noqa: S603 - our own command
            ["setsid", "--ctty", *words],  # noqa: S607 - util-linux
            env={"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process,
    ):
        os.close(theirs)
        try:
            with FileIO(ours, "r+") as front:
                yield Terminal(front, process)
        finally:
            process.kill()


WAITING = (
    # It looks without a pause: a second signal must find that the first was taken.
    "print('ready', flush=True)\nwhile not (one := s.sigtimedwait(S, 0)): pass\n"
    "two = s.sigtimedwait(S, 0.3);"
    "print('from the terminal' if one.si_code > 0 else one, 'once' if two is None else two)"
)


def test_ctrl_c_comes_once(socket_folder: Path) -> None:
    """The terminal sends SIGINT to CMD itself; gpusched does not send another."""
    command = QUEUE % signal.SIGINT + WAITING
    with terminal(socket_folder, *RUN, sys.executable, "-c", command) as shown:
        shown.until(b"ready")
        shown.type(b"\x03")
        shown.until(b"from the terminal once")
        assert shown.process.wait(timeout=5) == 0


def test_ctrl_c_ends_both(socket_folder: Path) -> None:
    """CMD ends by SIGINT, and so does gpusched, without a word."""
    with terminal(socket_folder, *RUN, "sh", "-c", "echo ready; exec sleep 60") as shown:
        shown.until(b"ready\r\n")
        shown.type(b"\x03")
        assert shown.process.wait(timeout=5) == -signal.SIGINT


def test_ctrl_c_reaches_a_session_of_its_own(socket_folder: Path) -> None:
    """What the terminal does not reach is told by gpusched."""
    command = (
        QUEUE % signal.SIGINT
        + "import os; os.setsid();"
        + ("print('ready', flush=True); s.sigwait(S); print('told')")
    )
    with terminal(socket_folder, *RUN, sys.executable, "-c", command) as shown:
        shown.until(b"ready")
        shown.type(b"\x03")
        shown.until(b"told")
        assert shown.process.wait(timeout=5) == 0


def test_a_hangup_reaches_the_command(socket_folder: Path) -> None:
    """When the terminal goes, the leader of the session hears it alone, and hands it on."""
    trap = (
        f"sleep 60 & trap 'echo hup > {socket_folder}/said; kill $!; exit' HUP; echo ready; wait"
    )
    with terminal(socket_folder, *RUN, "sh", "-c", trap) as shown:
        shown.until(b"ready")
        shown.hang_up()
        shown.process.wait(timeout=5)
    assert (socket_folder / "said").read_text() == "hup\n"


def test_ctrl_z_stops_the_job_and_fg_goes_on(socket_folder: Path) -> None:
    """The shell sees that its job was stopped by the terminal, and CMD goes on reading later."""
    job = " ".join([*RUN, "sh -c 'echo ready; read word; echo got $word'"])
    script = f'{job}; echo "stopped $?"; fg; echo "ended $?"'
    with terminal(socket_folder, "bash", "-m", "-c", script) as shown:
        shown.until(b"ready")
        shown.type(b"\x1a")
        shown.until(b"stopped %d" % (128 + signal.SIGTSTP))
        shown.type(b"hello\n")
        shown.until(b"got hello")
        shown.until(b"ended 0")
        assert shown.process.wait(timeout=5) == 0


def test_it_works_in_the_background(socket_folder: Path) -> None:
    """A job that reads in the background is stopped until it is in front."""
    job = " ".join([*RUN, "sh -c 'read word; echo got $word'"])
    script = f"{job} & until jobs -s | grep -q .; do sleep 0.05; done; fg"
    with terminal(socket_folder, "bash", "-m", "-c", script) as shown:
        shown.type(b"hello\n")
        shown.until(b"got hello")
        assert shown.process.wait(timeout=5) == 0
