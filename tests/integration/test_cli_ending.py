"""The verbs that end, attach and give up, against a gateway: what they ask, say, and wait for."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.cli import main as command_line
from tests.fakes.gateway import Script, gateway, refusal, reply
from tests.fakes.messages import Fields, lease

OURS: Fields = {"uid": 1000, "user": "alice", "cgroup": "/gpusched/lease-a", "in_place": False}
THEIRS: Fields = OURS | {"cgroup": "/x.service", "in_place": True}
STREAM_HEAD = b"HTTP/1.0 200 OK\r\n\r\n"
LATE = "gpusched: lease-a ends: its processes have SIGTERM, and SIGKILL after the grace; "


def ending(holder: Fields = OURS) -> Fields:
    """The lease while its processes end."""
    processes = [{"pid": 7}]
    return lease("lease-a", state="LEASE_STATE_RELEASING", holder=holder, processes=processes)


def ended() -> Fields:
    """The lease when it is over."""
    return lease("lease-a", state="LEASE_STATE_ENDED", holder=OURS)


def listed(one: Fields) -> bytes:
    """One message of a watch."""
    return json.dumps({"leases": [one]}).encode() + b"\n"


WATCH = (STREAM_HEAD, listed(ending()), listed(ended()))
KILLS: Script = {
    "Leases/Release": reply({"leases": [ending()]}),
    "Leases/Revoke": reply(ending()),
    "Leases/Watch": WATCH,
}


class Late(tuple[bytes, ...]):
    """Pieces that come a while after the head."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        """Give the head, and the rest when the user has become impatient."""
        yield self[0]
        threading.Event().wait(1.2)
        yield from self[1:]


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


def answered(
    folder: Path, words: str, script: Script
) -> tuple[int, list[tuple[str, dict[str, object]]]]:
    """Run a command line against *script*; give its exit code and what it asked."""
    with gateway(folder, script) as served:
        code = command_line.main(["--socket", str(served.path), *words.split()], never)
    return code, served.asked


@pytest.mark.parametrize(
    ("words", "method", "message"),
    [
        ("release l --kill", "Leases/Release", {"lease_id": "l", "kill": True}),
        (
            "release l --kill --grace 0s",
            "Leases/Release",
            {"lease_id": "l", "kill": True, "grace": "0s"},
        ),
        ("revoke l --reason old", "Leases/Revoke", {"lease_id": "l", "reason": "old"}),
        (
            "revoke l --reason old --grace 1m --signal-in-place",
            "Leases/Revoke",
            {"lease_id": "l", "reason": "old", "grace": "60s", "signal_in_place": True},
        ),
    ],
)
def test_ending_waits_for_the_processes(
    socket_folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: str,
    method: str,
    message: Fields,
) -> None:
    """Who has processes ended is told when they are gone, and hears nothing if that is quick."""
    code, asked = answered(socket_folder, words, KILLS)
    assert (code, asked) == (0, [(method, message), ("Leases/Watch", {"lease_id": "lease-a"})])
    assert capsys.readouterr() == ("lease-a has ended\n", "")


@pytest.mark.parametrize(("quiet", "told"), [("", LATE), ("--quiet ", "")])
def test_a_long_end_is_explained(
    socket_folder: Path, capsys: pytest.CaptureFixture[str], quiet: str, told: str
) -> None:
    """After a second the user is told what is waited for, unless he wants no notes."""
    script = {**KILLS, "Leases/Watch": Late(WATCH)}
    assert answered(socket_folder, f"{quiet}release l --kill", script)[0] == 0
    error = capsys.readouterr().err
    assert error.startswith(told)
    assert error.count("\n") == bool(told)


@pytest.mark.parametrize("words", ["release l --kill", "revoke l --reason old"])
def test_no_wait(socket_folder: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    """With --no-wait the command ends when the end has begun."""
    code, asked = answered(socket_folder, f"{words} --no-wait", KILLS)
    assert (code, len(asked)) == (0, 1)
    assert capsys.readouterr().out.endswith("; its processes are being ended\n")


def test_a_lease_in_place_is_not_waited_for(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Processes that gpusched does not end may live on for ever: it says so instead."""
    script = {"Leases/Revoke": reply(ending(THEIRS))}
    code, asked = answered(socket_folder, "revoke l --reason old", script)
    assert (code, len(asked)) == (0, 1)
    assert capsys.readouterr().out == (
        "lease-a is revoked; gpusched does not end its processes, its devices are free when they"
        " have left them\n"
    )


def test_a_lease_that_is_over_is_not_waited_for(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody had entered has ended with the answer."""
    script = {"Leases/Release": reply({"leases": [ended()]})}
    code, asked = answered(socket_folder, "release l --kill", script)
    assert (code, len(asked)) == (0, 1)
    assert capsys.readouterr().out == "lease-a has ended\n"


@pytest.mark.parametrize("words", ["release l --kill", "revoke l --reason old"])
def test_json_is_the_last_state(
    socket_folder: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """With --json the lease is printed once, as it is when its processes are gone."""
    assert answered(socket_folder, f"{words} --json", KILLS)[0] == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == ({"leases": [ended()]} if words.startswith("release") else ended())


def test_the_daemon_ends_meanwhile(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon that stops while one waits is exit code 69, and what becomes of the lease."""
    script = {**KILLS, "Leases/Watch": (STREAM_HEAD, listed(ending()))}
    assert answered(socket_folder, "release l --kill", script)[0] == 69
    assert "lease-a goes on ending when it is back" in capsys.readouterr().err


def test_who_may_not_is_told(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only administrators revoke and forget: exit code 77 with the daemon's sentence."""
    no = refusal("PERMISSION_DENIED", "only administrators may", status=403)
    script = {"Leases/Revoke": no, "Devices/Forget": no}
    for words in ("revoke l --reason old", "forget 3"):
        assert answered(socket_folder, words, script)[0] == 77
        (socket_folder / "g.sock").unlink()
    assert capsys.readouterr().err == "gpusched: only administrators may\n" * 2


def test_forget(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ghost memory of a device is given up by the device's name."""
    script = {"Devices/Forget": reply({"uuid": "GPU-a", "index": 3})}
    code, asked = answered(socket_folder, "forget 3", script)
    assert (code, asked) == (0, [("Devices/Forget", {"device": "3"})])
    assert capsys.readouterr().out == "no memory of device 3 is waited for any more\n"


def test_attach_a_cgroup(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cgroup is attached by its path; what the mask cannot undo is a warning each."""
    answer: Fields = {
        "lease": lease("lease-a", holder=THEIRS),
        "attachment": {"mode": "ATTACH_MODE_IN_PLACE", "processes": [{"pid": 7}]},
        "warnings": ["/dev/nvidia0 was open in process 7", "process 9 is a stray"],
    }
    script = {"Leases/Attach": reply(answer)}
    code, asked = answered(socket_folder, "attach l --cgroup /x.service", script)
    assert (code, asked) == (0, [("Leases/Attach", {"lease_id": "l", "cgroup": "/x.service"})])
    out, error = capsys.readouterr()
    assert out == "/x.service is under lease-a: masked in place in /x.service, 1 process there\n"
    assert error == (
        "gpusched: /dev/nvidia0 was open in process 7\ngpusched: process 9 is a stray\n"
    )


def test_required_where_it_cannot_be_had(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run --enforce required` starts nothing where nothing would hold the mask: exit code 78."""
    sentence = "the mask cannot be enforced here: the daemon runs without root"
    no = refusal("FAILED_PRECONDITION", sentence, {"kind": "REJECTION_KIND_NEVER_HERE"})
    script = {"Leases/Allocate": no}
    assert answered(socket_folder, "run --enforce required -- true", script)[0] == 78
    assert capsys.readouterr().err == f"gpusched: {sentence}\n"
