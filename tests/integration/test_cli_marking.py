"""`gpusched cordon`, `uncordon`, `drain` and `nvml`: what they ask, what they print."""

from pathlib import Path

import pytest

from gpusched.cli import main as command_line
from tests.fakes.gateway import Script, gateway, reply
from tests.fakes.messages import Fields, device, lease

RELEASED: Fields = {
    "state": "DRIVER_STATE_RELEASED",
    "sentence": "the driver has been let go: upgrade; resume it",
}
ANSWERING: Fields = {
    "state": "DRIVER_STATE_ANSWERING",
    "driver_version": {"value": "590.1.2"},
}
CORDON: Fields = {"reason": "loud", "uid": 0, "at": "2026-11-22T12:00:00Z"}


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


def answered(folder: Path, words: list[str], script: Script) -> tuple[int, list[object]]:
    """Runs a command against a gateway: the exit code, and what was asked."""
    with gateway(folder, script) as served:
        arguments = ["--socket", str(served.path), *words]
        code = command_line.main(arguments, never)
        asked: list[object] = list(served.asked)
    served.path.unlink()  # a test may ask more than once
    return code, asked


@pytest.mark.parametrize(
    ("leases", "output"),
    [
        ([], "device 3 is cordoned: no new leases\n"),
        (["lease-a"], "device 3 is cordoned: no new leases; the lease stays that is on it\n"),
        (
            ["lease-a", "lease-b"],
            "device 3 is cordoned: no new leases; the 2 leases stay that are on it\n",
        ),
    ],
)
def test_cordon(
    socket_folder: Path, capsys: pytest.CaptureFixture[str], leases: list[str], output: str
) -> None:
    """The device and the reason are asked, and what stays is said."""
    script: Script = {"Devices/Cordon": reply(device(3, lease_ids=leases, cordon=CORDON))}
    words = ["cordon", "3", "--reason", "fan is loud"]
    code, asked = answered(socket_folder, words, script)
    assert (code, asked) == (0, [("Devices/Cordon", {"device": "3", "reason": "fan is loud"})])
    assert capsys.readouterr().out == output


@pytest.mark.parametrize(
    ("changed", "output"),
    [
        ({}, "device 3 takes new leases\n"),
        (
            {"schedulable": False, "unschedulable_reason": "held by bob"},
            "device 3 has no mark any more; no lease could be had now: held by bob\n",
        ),
    ],
)
def test_uncordon(
    socket_folder: Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, object],
    output: str,
) -> None:
    """Whether a lease could be had is said, and else why not."""
    script: Script = {"Devices/Uncordon": reply(device(3, **changed))}
    assert answered(socket_folder, ["uncordon", "3"], script)[0] == 0
    assert capsys.readouterr().out == output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], {}),
        (["--deadline", "30m"], {"deadline": "1800s"}),
        (["--deadline", "0s", "--signal-in-place"], {"deadline": "0s", "signal_in_place": True}),
    ],
)
def test_drain(
    socket_folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: dict[str, object],
) -> None:
    """The deadline is asked as it was said, and the leases that will end are named."""
    cordon = CORDON | {"drain_deadline": "2026-11-22T12:30:00Z"}
    drained: Fields = {"device": device(3, cordon=cordon), "leases": [lease("lease-a")]}
    script: Script = {"Devices/Drain": reply(drained)}
    command = ["drain", "3", "--reason", "replace it", *words]
    code, asked = answered(socket_folder, command, script)
    assert code == 0
    assert asked == [("Devices/Drain", {"device": "3", "reason": "replace it"} | message)]
    out = capsys.readouterr().out
    assert out.startswith("device 3 is drained: no new leases; these end at 2026-11-22 ")
    assert out.endswith(": lease-a\n")


def test_drain_of_a_free_device(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is left to end; with --json the whole reply is printed."""
    script: Script = {"Devices/Drain": reply({"device": device(3), "leases": []})}
    words = ["drain", "3", "--reason", "replace it"]
    assert answered(socket_folder, words, script)[0] == 0
    assert capsys.readouterr().out == (
        "device 3 is drained: no new leases, and none is left on it\n"
    )
    assert answered(socket_folder, [*words, "--json"], script)[0] == 0
    assert '"leases": []' in capsys.readouterr().out


@pytest.mark.parametrize("words", [["cordon", "3"], ["drain", "3"], ["nvml"], ["nvml", "stop"]])
def test_what_is_missing_is_said(
    socket_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """A reason is mandatory, and so is what to do with the driver; nothing is asked."""
    assert answered(socket_folder, words, {}) == (64, [])
    assert capsys.readouterr().err.startswith("gpusched: ")


def test_cordon_of_a_drained_device(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stays drained: that its leases end all the same is said, and how they are kept."""
    cordon = CORDON | {"drain_deadline": "2026-11-22T12:30:00Z"}
    drained = device(3, lease_ids=["lease-a"], cordon=cordon)
    script: Script = {"Devices/Cordon": reply(drained)}
    assert answered(socket_folder, ["cordon", "3", "--reason", "fan"], script)[0] == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "device 3 is cordoned: no new leases; it stays drained, and its leases end at 2026-11-22 "
    )
    assert out.endswith(": to keep them, `gpusched uncordon 3` first\n")


def test_a_reason_cannot_move_the_cursor(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What somebody gave as a reason is one line of text to whoever is shown it."""
    script: Script = {
        "Node/ReleaseDriver": reply({"sentence": "the driver has been let go: \x1b[2Jx\ny"}),
        "Devices/Uncordon": reply(device(3, unschedulable_reason="cordoned: \x1b[2Jx")),
    }
    assert answered(socket_folder, ["nvml", "release"], script)[0] == 0
    assert answered(socket_folder, ["uncordon", "3"], script)[0] == 0
    assert capsys.readouterr().out == (
        "the driver has been let go: ?[2Jx?y\n"
        "device 3 takes new leases; no lease could be had now: cordoned: ?[2Jx\n"
    )


def test_nvml(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason goes along, and how it went is said; a driver that is not back is no success."""
    script: Script = {"Node/ReleaseDriver": reply(RELEASED), "Node/ResumeDriver": reply(ANSWERING)}
    words = ["nvml", "release", "--reason", "upgrade"]
    assert answered(socket_folder, words, script) == (
        0,
        [("Node/ReleaseDriver", {"reason": "upgrade"})],
    )
    assert answered(socket_folder, ["nvml", "release"], script)[1] == [("Node/ReleaseDriver", {})]
    assert answered(socket_folder, ["nvml", "resume"], script)[0] == 0
    out = capsys.readouterr().out
    assert out.endswith("resume it\nthe driver is taken up again: version 590.1.2\n")
    missing = {"state": "DRIVER_STATE_MISSING", "sentence": "it is not loaded"}
    script = {"Node/ResumeDriver": reply(missing)}
    assert answered(socket_folder, ["nvml", "resume"], script)[0] == 75
    assert capsys.readouterr().err == ("gpusched: the driver does not answer: it is not loaded\n")
    assert answered(socket_folder, ["nvml", "resume", "--reason", "x"], script) == (64, [])
