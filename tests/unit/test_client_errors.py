"""Refusals as classes, documents as values, and where the daemon is."""

import errno
import os
from pathlib import Path

import pytest

from gpusched.cli.exits import code_of
from gpusched.client import errors
from gpusched.client.address import socket_path, unreachable, usual_sockets
from gpusched.client.document import Document
from gpusched.config.paths import default_socket


@pytest.mark.parametrize(
    ("kind", "expected", "code"),
    [
        ("BAD_REQUEST", errors.BadRequest, 64),
        ("LATER", errors.CouldFitLater, 75),
        ("NEVER_HERE", errors.NeverHere, 78),
        ("NOT_ALLOWED", errors.NotAllowed, 77),
        ("NOT_FOUND", errors.NotFound, 64),
        ("NOT_YET", errors.NotYet, 64),
        ("WRONG_STATE", errors.WrongState, 64),
    ],
)
def test_kinds(kind: str, expected: type[errors.GpuschedError], code: int) -> None:
    """The kind of a rejection decides, not the status, which two kinds may share."""
    rejection: dict[str, object] = {"kind": f"REJECTION_KIND_{kind}", "nearest_command": "do this"}
    error = errors.error_of("FAILED_PRECONDITION", "no", rejection)
    assert type(error) is expected
    assert (error.sentence, error.nearest_command, error.hint_command) == ("no", "do this", "")
    assert code_of(error) == code


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [
        ("INVALID_ARGUMENT", errors.BadRequest, 64),
        ("RESOURCE_EXHAUSTED", errors.CouldFitLater, 75),
        ("FAILED_PRECONDITION", errors.WrongState, 64),
        ("PERMISSION_DENIED", errors.NotAllowed, 77),
        ("UNAUTHENTICATED", errors.NotAllowed, 77),
        ("NOT_FOUND", errors.NotFound, 64),
        ("UNIMPLEMENTED", errors.NotYet, 64),
        ("UNAVAILABLE", errors.DaemonUnreachable, 69),
        ("DEADLINE_EXCEEDED", errors.DaemonUnreachable, 69),
        ("INTERNAL", errors.DaemonFault, 70),
        ("SOMETHING_NEW", errors.DaemonFault, 70),
    ],
)
def test_statuses(status: str, expected: type[errors.GpuschedError], code: int) -> None:
    """Without a rejection the status decides; a status that nobody knows is a defect."""
    error = errors.error_of(status, "", {})
    assert type(error) is expected
    assert error.sentence == status
    assert code_of(error) == code


def test_why_nobody_answers() -> None:
    """No socket, nobody behind it, no permission, too slow: five sentences, all with the path."""
    failures = (
        OSError(errno.ENOENT, "x"),
        OSError(errno.ECONNREFUSED, "x"),
        OSError(errno.EACCES, "x"),
        TimeoutError("timed out"),
        OSError("AF_UNIX path too long"),
    )
    sentences = [unreachable("/run/x.sock", one).sentence for one in failures]
    starts = {sentence.split(" ", 3)[1] for sentence in sentences}
    assert len(starts) >= 3
    assert len(set(sentences)) == 5
    assert all("/run/x.sock" in one and "\n" not in one for one in sentences)
    assert all(";" in one for one in sentences)  # each goes on to what to do


def test_which_socket(tmp_path: Path) -> None:
    """The flag goes before the variable, the variable before what is found, the system's first."""
    environment = {"GPUSCHED_SOCKET": "unix:/e.sock", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert socket_path("/f.sock", environment) == "/f.sock"
    assert socket_path(None, environment) == "/e.sock"
    del environment["GPUSCHED_SOCKET"]
    if Path("/run/gpusched/gpusched.sock").exists():
        pytest.skip("a daemon runs on this machine")
    assert socket_path(None, environment) == "/run/gpusched/gpusched.sock"
    own = tmp_path / "gpusched" / "gpusched.sock"
    own.parent.mkdir()
    own.touch()
    assert socket_path(None, environment) == str(own)


def test_the_daemon_listens_where_clients_look() -> None:
    """Both sides know the same two places."""
    environment = {"XDG_RUNTIME_DIR": "/run/user/1000"}
    assert usual_sockets(environment, 1000) == [
        str(default_socket(environment, 0, simulated=False)),
        str(default_socket(environment, 1000, simulated=False)),
    ]


def test_a_folder_of_someone_else_is_not_trusted(tmp_path: Path) -> None:
    """Without a runtime directory only a folder that the caller owns is looked into."""
    del tmp_path
    nobody = 4_000_000_000
    assert usual_sockets({}, nobody) == ["/run/gpusched/gpusched.sock"]
    private = Path(f"/tmp/gpusched-{os.getuid()}")  # noqa: S108 - the name is what is tested
    found = usual_sockets({}, os.getuid())
    owned = private.is_dir() and private.lstat().st_uid == os.getuid()
    assert len(found) == (2 if owned else 1)


def test_a_simulated_daemon_is_named_and_not_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only a simulated daemon listens, the sentence says how to reach it."""
    simulated = tmp_path / "gpusched-simulated" / "gpusched.sock"
    simulated.parent.mkdir()
    simulated.touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    if Path("/run/gpusched-simulated/gpusched.sock").exists():
        pytest.skip("a simulated daemon runs on this machine")
    sentence = unreachable("/run/x.sock", OSError(errno.ENOENT, "x")).sentence
    assert f"export GPUSCHED_SOCKET={simulated}" in sentence


def test_documents() -> None:
    """Numbers come as strings too, and what is absent or of another type is the default."""
    document = Document(
        {
            "a": "12",
            "b": 3,
            "c": 1.0,
            "d": True,
            "e": "x",
            "f": ["y", 4],
            "g": [{"h": 1}, 5],
            "i": {"value": "7"},
            "j": {"unavailable": "lost"},
            "k": {"m": "n"},
            "z": None,
        }
    )
    assert [document.number(one) for one in "abcdez"] == [12, 3, 1, 0, 0, 0]
    assert [document.optional(one) for one in "adz"] == [12, None, None]
    assert (document.flag("d"), document.flag("b")) == (True, False)
    assert (document.text("e"), document.text("b")) == ("x", "")
    assert document.texts("f") == ["y"]
    assert [one.number("h") for one in document.parts("g")] == [1]
    assert (document.parts("e"), document.texts("e")) == ([], [])
    assert (document.measured("i"), document.measured("j")) == (7, None)
    assert document.words("k") == {"m": "n"}
    assert ("z" in document, "a" in document) == (False, True)
    assert document.part("a").fields == {}
