"""`gpusched guard`: what it asks the daemon, what it prints, and `off` where there is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpusched.adapters.cgroup.guard import CgroupGuard
from gpusched.cli import main as command_line
from gpusched.core.mask import Governed, NodeRange
from tests.fakes.device_world import MAJOR, Opener, cgroup, make_nodes
from tests.fakes.gateway import Script, gateway, refusal, reply
from tests.fakes.messages import Fields

ON: Fields = {
    "on": True,
    "sentence": "The guard is on: leases",
    "denied_opens": {"value": "3"},
}
OFF: Fields = {"on": False, "sentence": "The guard is off: all may"}
UNCOUNTED: Fields = ON | {"denied_opens": {"unavailable": "another version counts them"}}
NO_DAEMON = ["--socket", "/nowhere/gpusched.sock"]

_AS_NOBODY = """
import locale, os, sys  # locale: argparse loads it late, and nobody may not read it
import gpusched.bootstrap.guard_off, gpusched.cli.guard, gpusched.cli.main
from gpusched.__main__ import main
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(main())
"""


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


# `take_off` would look at all cgroups of this machine: here only the place is looked at.
_WITHOUT_A_MOUNT = """
import sys
from pathlib import Path
from gpusched.adapters.cgroup import mounting
from gpusched.bootstrap import guard_off
mounting.find_root = lambda mounts: None
guard_off._PRIVATE_MOUNT = Path(sys.argv[1])
def looked_at(root):
    print((root / "cgroup.procs").exists())
    return ()
guard_off.take_off = looked_at
sys.exit(guard_off.guard_off(["guard", "off"]) or 0)
"""
# A namespace whose mounts are shared, as systemd makes those of a host, but with nobody here.
_SHARED = 'mount --make-rprivate / && mount --make-rshared / && "$@" && cat /proc/self/mountinfo'


def answered(folder: Path, words: str, script: Script) -> tuple[int, list[object]]:
    """Runs `gpusched guard` against a gateway: the exit code, and what was asked."""
    with gateway(folder, script) as served:
        arguments = ["--socket", str(served.path), "guard", *words.split()]
        return command_line.main(arguments, never), list(served.asked)


def guard_off(top: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Runs the real command where no daemon is, on a part of the tree."""
    command = [sys.executable, "-m", "gpusched", *NO_DAEMON]
    return subprocess.run(  # noqa: S603 - our own program
        [*command, "guard", "off", "--below", str(top), *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "guard", "code", "output"),
    [
        ("on", ON, 0, "The guard is on: leases\n"),
        ("off", OFF, 0, "The guard is off: all may\n"),
        ("off", ON, 78, ""),
        ("on", OFF, 78, ""),
    ],
)
def test_set(
    socket_folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: str,
    guard: Fields,
    code: int,
    output: str,
) -> None:
    """On and off ask the daemon; one that does not do it says why, with exit code 78."""
    got, asked = answered(socket_folder, words, {"Node/SetGuard": reply(guard)})
    assert asked == [("Node/SetGuard", {"on": words == "on"})]
    assert got == code
    printed = capsys.readouterr()
    assert printed.out == output
    assert printed.err == (f"gpusched: {guard['sentence']}\n" if code else "")


@pytest.mark.parametrize(
    ("guard", "output"),
    [
        (ON, "The guard is on: leases\ndenied opens: 3\n"),
        (
            ON | {"denied_opens": {}},
            "The guard is on: leases\ndenied opens: unknown\n",
        ),
        (OFF, "The guard is off: all may\n"),
        ({}, "The guard is off\n"),
    ],
)
def test_status(
    socket_folder: Path, capsys: pytest.CaptureFixture[str], guard: Fields, output: str
) -> None:
    """Status says whether it is on, what that means, and how many opens were denied."""
    script = {"Node/Status": reply({"guard": guard})}
    got, asked = answered(socket_folder, "status", script)
    assert (got, asked) == (0, [("Node/Status", {"without_processes": True})])
    assert capsys.readouterr().out == output


@pytest.mark.parametrize("words", ["status --json", "on --json"])
def test_json(socket_folder: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    """With --json every form prints the message `GuardStatus` alone."""
    script = {"Node/Status": reply({"guard": ON}), "Node/SetGuard": reply(ON)}
    assert answered(socket_folder, words, script)[0] == 0
    assert json.loads(capsys.readouterr().out) == ON


def test_not_allowed(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who may not switch it hears so, with exit code 77."""
    script = {"Node/SetGuard": refusal("PERMISSION_DENIED", "only administrators may", status=403)}
    assert answered(socket_folder, "on", script)[0] == 77
    assert capsys.readouterr().err == "gpusched: only administrators may\n"


def test_on_needs_a_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody but the daemon switches it on: exit code 69 where none answers."""
    assert command_line.main([*NO_DAEMON, "guard", "on"], never) == 69
    assert capsys.readouterr().err.startswith("gpusched: ")


@pytest.mark.root
def test_off_without_a_daemon(tmp_path: Path) -> None:
    """Root takes it off where no daemon answers, and is told where it was; twice is once."""
    node = make_nodes(tmp_path, 1)[0]
    with cgroup() as top, Opener(top) as stranger:
        CgroupGuard(top, Path("/elsewhere")).on(Governed((NodeRange(MAJOR, 0, 9),)), [])
        assert stranger.tries("read", node) == "EPERM"
        first = guard_off(top)
        assert stranger.tries("read", node) == "ENXIO"
        second = guard_off(top, "--json")
    assert (first.returncode, first.stdout) == (0, f"the guard is taken off {top}\n")
    assert "no daemon was told" in first.stderr
    assert (second.returncode, json.loads(second.stdout)) == (0, {"on": False})


@pytest.mark.root
def test_off_leaves_no_mount(tmp_path: Path) -> None:
    """Where cgroup2 is mounted nowhere it is mounted for the look, and for nothing else."""
    place = tmp_path / "cgroup"
    program = [sys.executable, "-c", _WITHOUT_A_MOUNT, str(place)]
    command = ["unshare", "-m", "sh", "-c", _SHARED, "sh", *program]
    ended = subprocess.run(  # noqa: S603 - our own program
        command,
        capture_output=True,
        text=True,
        check=True,
    )
    looked, told, *mounts = ended.stdout.splitlines()
    assert (looked, told.startswith(f"no guard was on at {place}")) == ("True", True)
    assert mounts
    assert [one for one in mounts if str(place) in one] == []
    place.rmdir()


@pytest.mark.root
def test_off_at_no_cgroup(tmp_path: Path) -> None:
    """What cannot be looked at is named in one line, with exit code 69."""
    ended = guard_off(tmp_path)
    assert (ended.returncode, ended.stdout) == (69, "")
    assert ended.stderr.startswith(f"gpusched: the guard cannot be taken off {tmp_path}: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.root
def test_off_is_for_root() -> None:
    """Nobody else can without a daemon: exit code 77, and what to type."""
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _AS_NOBODY, *NO_DAEMON, "guard", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 77
    assert ended.stderr.endswith("sudo gpusched guard off\n")
    assert ended.stderr.count("\n") == 1
