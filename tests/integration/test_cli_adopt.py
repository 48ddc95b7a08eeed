"""`gpusched adopt`: what it asks the daemon, what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

from gpusched.cli import main as command_line
from tests.fakes.gateway import gateway, refusal, reply
from tests.fakes.messages import Fields

DONE: Fields = {
    "processes": [{"pid": 7, "start_ticks": "70"}, {"pid": 8}],
    "cgroup": "/system.slice/a.service",
    "uid": 1000,
    "device_uuids": ["GPU-a"],
    "lease": {"id": "lease-1"},
    "sentence": "GPU-a exclusively: nobody else is on it",
}
REFUSED: Fields = {"processes": [{"pid": 9}], "refused": True, "sentence": "it is unknown"}
HEAD = ["PROCESSES", "UID", "CGROUP", "LEASE", "WHAT"]
LISTED = "gpusched adopt --all`, or with a PID, does it"


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


def answered(folder: Path, words: str, answer: bytes) -> tuple[int, list[object]]:
    """Runs `gpusched adopt` against a gateway: the exit code, and what was asked."""
    with gateway(folder, {"Leases/Adopt": answer}) as served:
        arguments = ["--socket", str(served.path), "adopt", *words.split()]
        return command_line.main(arguments, never), list(served.asked)


def rows(*found: Fields) -> bytes:
    """An answer with these rows."""
    return reply({"adoptions": list(found)})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("7", {"process": {"pid": 7}}),
        ("7 --dry-run", {"process": {"pid": 7}, "dry_run": True}),
        ("--all", {"all": True}),
        ("--all --dry-run", {"all": True, "dry_run": True}),
        ("", {"all": True, "dry_run": True}),
    ],
)
def test_what_is_asked(
    socket_folder: Path, capsys: pytest.CaptureFixture[str], words: str, message: Fields
) -> None:
    """A PID or all; without either it only lists, and says that nothing was changed."""
    got, asked = answered(socket_folder, words, rows(DONE))
    assert (got, asked) == (0, [("Leases/Adopt", message)])
    out = capsys.readouterr().out
    assert (LISTED in out) == ("dry_run" in message)
    lines = out.splitlines()
    assert lines[0].split() == HEAD
    assert lines[1].split(maxsplit=4) == [
        "7,8",
        "1000",
        "/system.slice/a.service",
        "lease-1",
        "GPU-a exclusively: nobody else is on it",
    ]


@pytest.mark.parametrize(
    ("found", "code"), [((REFUSED,), 64), ((DONE, REFUSED), 0), ((DONE,), 0), ((), 0)]
)
def test_how_it_ends(
    socket_folder: Path,
    capsys: pytest.CaptureFixture[str],
    found: tuple[Fields, ...],
    code: int,
) -> None:
    """Exit code 64 where nothing but refusals came of it; each row says why."""
    assert answered(socket_folder, "--all", rows(*found))[0] == code
    out = capsys.readouterr().out
    assert ("refused: it is unknown" in out) == (REFUSED in found)
    assert ("no process holds a device without a lease" in out) == (not found)


def test_nothing_to_list(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is nothing, nothing is said about changing it."""
    assert answered(socket_folder, "", rows())[0] == 0
    assert capsys.readouterr().out == "no process holds a device without a lease\n"


def test_json(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the message `AdoptReply` is printed alone."""
    assert answered(socket_folder, "--all --json", rows(DONE, REFUSED))[0] == 0
    assert json.loads(capsys.readouterr().out) == {"adoptions": [DONE, REFUSED]}


@pytest.mark.parametrize("words", ["7 --all", "x", "0"])
def test_words_that_make_no_sense(
    socket_folder: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """A PID and --all, or no PID, is exit code 64, and the daemon is not asked."""
    assert answered(socket_folder, words, rows()) == (64, [])
    assert capsys.readouterr().err.startswith("gpusched: ")


def test_not_allowed(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who may not hears so, with exit code 77."""
    answer = refusal("PERMISSION_DENIED", "only administrators may", status=403)
    assert answered(socket_folder, "--all", answer)[0] == 77
    assert capsys.readouterr().err == "gpusched: only administrators may\n"
