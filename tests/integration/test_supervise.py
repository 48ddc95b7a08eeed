"""`gpusched run` without a cgroup: it stays beside CMD, and nobody should notice otherwise."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.messages import Fields
from tests.integration.supervised import QUEUE, RUN, ended, line, running


def test_the_command_is_a_child(socket_folder: Path) -> None:
    """The asking process stays as the parent; code, variables and process group are CMD's own."""
    script = "echo $PPID $WORD; ps -o pgid= -p $PPID -p $$ | uniq | wc -l; exit 7"
    with running(socket_folder, *RUN, "sh", "-c", script) as process:
        out, err = process.communicate()
    assert out.split() == [str(process.pid), "said", "1"]
    assert (process.returncode, err) == (7, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_it_ends_by_the_signal_of_the_command(socket_folder: Path, number: int) -> None:
    """A shell sees the same signal as it would without gpusched."""
    code, _, _ = ended(socket_folder, *RUN, "sh", "-c", f"kill -{number} $$")
    assert code == -number


def test_nothing_is_blocked_or_ignored(socket_folder: Path) -> None:
    """CMD begins with the signals that gpusched was started with."""
    command = ("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    here = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own
    _, there, _ = ended(socket_folder, *RUN, *command)
    assert there == here.replace(f"{1 << 12 | 1 << 24:016x}", f"{0:016x}")


@pytest.mark.parametrize(
    ("program", "code", "why"),
    [
        ("no-such-program", 127, "command not found"),
        ("/etc/hostname", 126, "cannot be executed"),
        ("nul\0", 126, "cannot be executed"),
    ],
)
def test_a_command_that_cannot_start(
    socket_folder: Path, program: str, code: int, why: str
) -> None:
    """Codes and sentences are the same as without supervision, and the lease is given back."""
    asked: list[tuple[str, Fields]] = []
    # A NUL cannot be typed; Python stands for a caller of `launch`.
    source = (
        "import sys; from gpusched.__main__ import main;"
        f"sys.argv = ['gpusched', 'run', '--', {program!r}]; sys.exit(main())"
    )
    with running(socket_folder, sys.executable, "-c", source, asked=asked) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (code, "")
    assert why in err
    assert err.count("\n") == 1
    assert asked[1:] == [("Leases/Release", {"lease_id": "lease-a"})]


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "RTMIN", "ALRM"])
def test_signals_are_handed_on(socket_folder: Path, name: str) -> None:
    """Who signals gpusched means CMD."""
    number = signal.Signals[f"SIG{name}"]
    command = QUEUE % number + "print('ready', flush=True); print(int(s.sigwait(S)))"
    with running(socket_folder, *RUN, sys.executable, "-c", command) as process:
        assert line(process.stdout) == "ready"
        process.send_signal(number)
        assert line(process.stdout) == str(int(number))
        assert process.wait(timeout=5) == 0


def test_who_kills_it_kills_the_command(socket_folder: Path) -> None:
    """SIGKILL cannot be handed on, and CMD ends all the same."""
    with running(socket_folder, *RUN, "sh", "-c", "echo $$; exec sleep 60") as process:
        line(process.stdout)
        process.kill()
        out, _ = process.communicate(timeout=5)  # nobody has the pipe any more
        assert out == ""


DAEMON = "setsid sh -c 'echo $$; exec sleep 60' & exit 7"


def test_it_stays_for_what_is_left_behind(socket_folder: Path) -> None:
    """A daemonised process stays in the tree; the user is told, and the code is CMD's."""
    with running(socket_folder, *RUN, "sh", "-c", DAEMON) as process:
        left = int(line(process.stdout))
        told = line(process.stderr)
        parent = Path(f"/proc/{left}/stat").read_text().rsplit(")", 1)[1].split()[1]
        assert int(parent) == process.pid
        subprocess.run(["kill", "-KILL", str(left)], check=True)  # noqa: S603, S607 - our own
        assert process.wait(timeout=5) == 7
    assert told == (
        "gpusched: the command has ended, and the lease stays for what it left behind"
        f" ({left}): Ctrl-C or SIGTERM is handed on to it"
    )


def test_what_ends_soon_after_is_not_worth_a_word(socket_folder: Path) -> None:
    """Helpers of a framework may take a moment longer than CMD."""
    assert ended(socket_folder, *RUN, "sh", "-c", "setsid sleep 0.1 & exit 3") == (3, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_left_behind_can_be_ended(socket_folder: Path, number: int) -> None:
    """Ctrl-C ends even what a shell has started with SIGINT ignored."""
    with running(socket_folder, *RUN, "sh", "-c", DAEMON) as process:
        line(process.stdout)
        line(process.stderr)
        process.send_signal(number)
        assert process.wait(timeout=5) == 7


def test_the_output_is_the_commands(socket_folder: Path) -> None:
    """Who reads the output sees its end when CMD closes it, not when gpusched ends."""
    script = "exec >&- 0<&-; read x <&2; exec sleep 60"
    with running(socket_folder, *RUN, "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.read() == ""
        assert process.poll() is None
        process.terminate()
        assert process.wait(timeout=5) == -signal.SIGTERM


@pytest.mark.parametrize("odd", ["--ignore-signal=CHLD", "--default-signal"])
def test_odd_beginnings(socket_folder: Path, odd: str) -> None:
    """An ignored SIGCHLD and a closed standard input change nothing."""
    command = ("sh", "-c", f'exec env {odd} "$@" 0<&-', "sh", *RUN, "sh", "-c", "exit 7")
    assert ended(socket_folder, *command) == (7, "", "")


def test_it_is_small(socket_folder: Path) -> None:
    """What stays is a bare Python of some megabytes."""
    with running(socket_folder, *RUN, "sh", "-c", "echo ready; exec sleep 60") as process:
        line(process.stdout)
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    dirty = next(one for one in rollup.splitlines() if one.startswith("Private_Dirty:"))
    assert int(dirty.split()[1]) < 12 << 10
