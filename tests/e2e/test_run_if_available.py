"""`gpusched run --if-available`: without a daemon the command runs all the same, and only then."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.e2e.host import Host
from tools.stage import GPUSCHED

_AS_NOBODY = (sys.executable, "-m", "tests.e2e.as_user", "65534")
_SHOW = ("sh", "-c", 'echo "$CUDA_VISIBLE_DEVICES/${GPUSCHED_LEASE-no lease}"')


def _nowhere(host: Host) -> str:
    return str(host.folder / "nothing")


def _left_behind(host: Host) -> str:
    path = host.folder / "left-behind"
    if not path.exists():
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    return str(path)


@pytest.mark.parametrize("where", [_nowhere, _left_behind])
def test_without_the_flag_nothing_runs(host: Host, where: object) -> None:
    """Where no daemon runs, `run` refuses with its exit code and a sentence."""
    assert callable(where)
    said = host.refused(69, "run", "--socket", where(host), "--", "echo", "ran")
    assert said.startswith("gpusched: no daemon")


@pytest.mark.parametrize("where", [_nowhere, _left_behind])
def test_without_a_daemon_the_command_runs_as_it_is(host: Host, where: object) -> None:
    """It runs in its own environment, unleased, after one line of warning."""
    assert callable(where)
    words = ("run", "--socket", where(host), "--gpus", "2", "--if-available", "--", *_SHOW)
    done = host.gpusched(*words, CUDA_VISIBLE_DEVICES="3")
    assert (done.returncode, done.stdout) == (0, "3/no lease\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "gpusched: sh runs without a lease, as --if-available has it: no daemon"
    )


def test_its_own_exit_code_is_the_result(host: Host) -> None:
    """The command's code is that of `run`, also a signal's, and a shell's where there is none."""
    start = (str(GPUSCHED), "-q", "run", "--socket", _nowhere(host), "--if-available", "--")
    assert host.run(*start, "sh", "-c", "exit 7").returncode == 7
    assert host.run(*start, "sh", "-c", "kill -9 $$").returncode == -signal.SIGKILL
    missing = host.run(*start, "no-such-command")
    assert missing.returncode == 127
    assert (
        missing.stderr == "gpusched: no-such-command: command not found; check the name and PATH\n"
    )


def test_with_a_daemon_it_leases(host: Host) -> None:
    """Where a daemon runs, the flag changes nothing."""
    done = host.gpusched("run", "--gpu-type", "l4", "--if-available", "--", *_SHOW)
    assert done.returncode == 0, done
    assert "/lease-" in done.stdout
    assert "runs without a lease" not in done.stderr


@pytest.mark.parametrize(
    ("code", "wish"),
    [
        (64, ("--memory", "7")),
        (75, ("--gpus", "8")),
        (78, ("--gpus", "9")),
    ],
)
def test_what_a_daemon_refuses_stays_refused(host: Host, code: int, wish: tuple[str, ...]) -> None:
    """Later, never and wrong are answers of a daemon that is there."""
    host.allocate()
    assert host.refused(code, "run", *wish, "--if-available", "--", "echo", "ran")


def test_a_required_mask_needs_a_daemon(host: Host) -> None:
    """Who requires that the kernel holds the mask cannot run without one."""
    words = ("run", "--enforce", "required", "--if-available", "--", "echo", "ran")
    assert "needs a daemon" in host.refused(64, *words)


@pytest.mark.root
def test_a_socket_that_is_not_for_the_user_is_a_refusal(host: Host) -> None:
    """Who may not speak to a daemon that is there does not get around it."""
    locked = host.folder / "not-for-all"
    locked.mkdir(mode=0o700)
    done = host.run(
        *_AS_NOBODY, "run", "--socket", str(locked / "s"), "--if-available", "--", "echo", "ran"
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert "not permitted" in done.stderr


def test_a_daemon_that_is_cut_off_is_a_refusal(host: Host) -> None:
    """What listens and gives no answer may have granted already: it is not got around."""
    path = Path(_left_behind(host))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(path))
        hanging.listen()
        words = ("run", "--socket", str(path), "--if-available", "--", "echo", "ran")
        asking = host.start(str(GPUSCHED), *words)
        connection, _ = hanging.accept()
        connection.recv(65536)
        connection.close()
        assert asking.wait(10) == os.EX_UNAVAILABLE
        assert asking.stdout is not None
        assert asking.stdout.read() == ""
