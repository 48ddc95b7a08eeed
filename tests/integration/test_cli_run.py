"""`gpusched run` and other endings that only a process of its own can show."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.gateway import gateway, reply
from tests.fakes.messages import Fields, lease, status

GRANT: Fields = {
    "lease": lease("lease-a", holder={"uid": 1000, "user": "alice", "cgroup": "/lease-a"}),
    "environment": {"CUDA_VISIBLE_DEVICES": "1", "GPUSCHED_LEASE": "lease-a"},
}
ANSWERS = {
    "Leases/Allocate": reply(GRANT),
    "Leases/Release": reply({}),
    "Node/Status": reply(status()),
}
GPUSCHED = [sys.executable, "-m", "gpusched"]


def run(
    folder: Path, *words: str, environment: dict[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], list[tuple[str, Fields]]]:
    """Runs gpusched against a gateway; gives how it ended and what it asked."""
    with gateway(folder, ANSWERS) as served:
        variables = {"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path)}
        ended = subprocess.run(  # noqa: S603 - our own command
            [*GPUSCHED, *words],
            env=variables | (environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )
    return ended, served.asked


def test_run_becomes_the_command(socket_folder: Path) -> None:
    """In a cgroup the command has our pid, the lease's variables, and ends with its own code."""
    with gateway(socket_folder, ANSWERS) as served:
        variables = {"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path)}
        script = "echo $$ $CUDA_VISIBLE_DEVICES $GPUSCHED_LEASE; exit 7"
        with subprocess.Popen(  # noqa: S603 - our own command
            [*GPUSCHED, "run", "--memory", "8GiB", "--", "sh", "-c", script],
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            out, _ = process.communicate()
    assert out == f"{process.pid} 1 lease-a\n"
    assert process.returncode == 7
    [(method, message)] = served.asked
    assert method == "Leases/Allocate"
    assert message.items() >= {"memory_bytes": str(8 << 30), "attach_caller": True}.items()


def test_a_signal_ends_the_command(socket_folder: Path) -> None:
    """A command that a signal ends, ends by that signal for whoever waits."""
    ended, _ = run(socket_folder, "run", "--", "sh", "-c", "kill -TERM $$")
    assert ended.returncode == -signal.SIGTERM


def test_the_command_gets_its_signals_back(socket_folder: Path) -> None:
    """Python ignores SIGPIPE and SIGXFSZ; the command must not."""
    ended, _ = run(socket_folder, "run", "--", "sh", "-c", "grep SigIgn /proc/self/status")
    ignored = int(ended.stdout.split()[1], 16)
    assert not ignored & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


@pytest.mark.parametrize(
    ("program", "code", "why"),
    [
        ("no-such-program", 127, "command not found"),
        ("/no/such/program", 127, "command not found"),
        ("/etc/hostname", 126, "cannot be executed"),
    ],
)
def test_a_command_that_cannot_start(
    socket_folder: Path, program: str, code: int, why: str
) -> None:
    """The lease is given back at once, and the code is the shell's."""
    ended, asked = run(socket_folder, "run", "--", program)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(f"gpusched: {program}: {why}")
    assert ended.stderr.count("\n") == 1
    assert asked[1:] == [("Leases/Release", {"lease_id": "lease-a"})]


def test_a_missing_interpreter(socket_folder: Path) -> None:
    """A script whose interpreter is missing is not called missing itself."""
    script = socket_folder / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    ended, _ = run(socket_folder, "run", "--", str(script))
    assert ended.returncode == 127
    assert "its interpreter, in the first line, does not exist" in ended.stderr


def test_nothing_runs_without_a_lease(socket_folder: Path) -> None:
    """Where another program answers, with whatever JSON, the command is not started."""
    with gateway(socket_folder, {"Leases/Allocate": reply({"status": "ok"})}) as served:
        ended = subprocess.run(  # noqa: S603 - our own command
            [*GPUSCHED, "run", "--", "echo", "runs"],
            env={"PATH": os.environ["PATH"], "GPUSCHED_SOCKET": str(served.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (70, "")
    assert "is no gpusched daemon" in ended.stderr


def test_a_mask_is_overridden_with_a_warning(socket_folder: Path) -> None:
    """Who had set a mask learns that the lease has another; with --quiet he does not."""
    mask = {"CUDA_VISIBLE_DEVICES": "0,1"}
    echo = ("run", "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    ended, _ = run(socket_folder, *echo, environment=mask)
    assert ended.stdout == "1\n"
    assert ended.stderr == ("gpusched: CUDA_VISIBLE_DEVICES=0,1 is overridden: the lease has 1\n")


def test_the_same_mask_is_not_worth_a_warning(socket_folder: Path) -> None:
    """Nothing is overridden where the mask is the lease's already."""
    ended, _ = run(socket_folder, "run", "--", "true", environment={"CUDA_VISIBLE_DEVICES": "1"})
    assert ended.stderr == ""


def test_a_reader_that_leaves(socket_folder: Path) -> None:
    """`gpusched status | head -0` is quiet."""
    with gateway(socket_folder, ANSWERS) as served:
        variables = {"GPUSCHED_SOCKET": str(served.path)}
        read, write = os.pipe()
        os.close(read)
        ended = subprocess.run(  # noqa: S603 - our own command
            [*GPUSCHED, "status"], env=variables, stdout=write, stderr=subprocess.PIPE, check=False
        )
        os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_terminal_that_knows_no_unicode(socket_folder: Path) -> None:
    """A name that the encoding does not have prints as `?`."""
    ended, _ = run(socket_folder, "--help", environment={"PYTHONIOENCODING": "ascii:strict"})
    assert ended.returncode == 0
    assert "usage: gpusched COMMAND ?" in ended.stdout


def test_watching_ends_with_ctrl_c(socket_folder: Path) -> None:
    """`status --watch` shows screens on a terminal until Ctrl-C, which is exit code 130."""
    ours, theirs = pty.openpty()
    with gateway(socket_folder, ANSWERS) as served:
        variables = {"GPUSCHED_SOCKET": str(served.path), "COLUMNS": "60"}
        with subprocess.Popen(  # noqa: S603 - our own command
            [*GPUSCHED, "status", "--watch"],
            env=variables,
            stdout=theirs,
            stderr=subprocess.PIPE,
        ) as process:
            os.close(theirs)
            seen = b""
            while b"No running processes found" not in seen:
                seen += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate()
    os.close(ours)
    assert seen.startswith(b"\x1b[H\x1b[Jhost-1")
    assert (process.returncode, error) == (130, b"")


def test_watching_outlives_the_daemon(socket_folder: Path) -> None:
    """A daemon that restarts does not end a watch: the screen says that nobody answers."""
    variables = {"GPUSCHED_SOCKET": str(socket_folder / "none.sock"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: S603 - our own command
        [*GPUSCHED, "status", "--watch"], env=variables, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert "there is no socket" in line
    assert process.returncode == 130


def test_the_simulated_worker_is_not_of_the_command_line() -> None:
    """`gpusched simulated-worker` goes to the simulator with its own words."""
    ended = subprocess.run(  # noqa: S603 - our own command
        [*GPUSCHED, "simulated-worker", "--help"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert "--memory" in ended.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["gpusched", "rel"], {"release"}),
        (["gpusched", "leases", "--m"], {"--mine"}),
        (["gpusched", "allocate", "--mask-format", ""], {"auto", "index", "relative", "uuid"}),
        (["gpusched", "completion", "z"], {"zsh"}),
        (["gpusched", "--socket", "/g.sock", "sta"], {"status"}),
        (["gpusched", "run", "--", "--m"], set()),
    ],
)
def test_bash_completes(words: list[str], expected: set[str]) -> None:
    """What the script says is completed by bash itself; behind `--` it leaves CMD alone."""
    made = subprocess.run([*GPUSCHED, "completion", "bash"], capture_output=True, check=True)  # noqa: S603 - our own
    ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gpusched; printf "%s\n" "${COMPREPLY[@]}"'
    answer = subprocess.run(  # noqa: S603 - as above
        ["bash", "-c", made.stdout.decode() + ask, "bash", *words],  # noqa: S607 - the user's bash
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(answer.stdout.split()) == expected
