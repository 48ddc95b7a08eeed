"""The command line against a gateway: what it asks, what it prints, and how it ends."""

import json
import os
from pathlib import Path

import pytest

from gpusched.cli import main as command_line
from tests.fakes.gateway import Script, gateway, reply
from tests.fakes.messages import Fields, lease, process, status

GRANT: Fields = {
    "lease": lease("lease-a"),
    "devices": [{"uuid": "GPU-a"}],
    "environment": {"CUDA_VISIBLE_DEVICES": "1", "GPUSCHED_LEASE": "lease-a"},
    "container_environment": {"CUDA_VISIBLE_DEVICES": "0"},
    "warnings": ["masks are advice"],
}
EVENT: Fields = {"sequence": "4", "id": "lease-a", "sentence": "granted to alice"}
STREAM = b'HTTP/1.0 200 OK\r\n\r\n{"sequence":"5","id":"lease-b","sentence":"ended"}\n'
ANSWERS: Script = {
    "Node/Status": reply(status()),
    "Processes/List": reply({"processes": [process(0, 7)]}),
    "Devices/List": reply({"devices": [], "warnings": ["no driver"]}),
    "Devices/ListTypes": reply({"types": [{"name": "cpu.1"}]}),
    "Leases/Allocate": reply(GRANT),
    "Leases/Environment": reply(GRANT),
    "Leases/List": reply({"leases": [lease("lease-a")]}),
    "Leases/Attach": reply({"lease": lease("lease-a"), "warnings": ["it is there already"]}),
    "Leases/Renew": reply(lease("lease-a", attach_deadline=None)),
    "Leases/Release": reply({"leases": [lease("lease-a", state="LEASE_STATE_RELEASING")]}),
    "Leases/Cancel": reply({"lease": lease("lease-a", state="LEASE_STATE_ENDED")}),
    "Leases/Explain": reply({"sentence": "it would be granted"}),
    "Events/List": reply({"events": [EVENT], "last_sequence": "4"}),
    "Events/Watch": STREAM,
}


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


def words_for(path: Path, words: str) -> list[str]:
    return ["--socket", str(path), *words.split()]


@pytest.mark.parametrize(
    ("words", "method", "message", "output"),
    [
        ("status", "Node/Status", {}, "host-1   gpusched 0.1.0"),
        ("processes", "Processes/List", {}, "/usr/bin/python3"),
        ("devices", "Devices/List", {}, "no devices"),
        ("types", "Devices/ListTypes", {}, "cpu.1"),
        ("leases", "Leases/List", {"mine": False, "ended": False}, "lease-a   reserved"),
        ("leases --mine --ended", "Leases/List", {"mine": True, "ended": True}, "lease-a"),
        ("renew l", "Leases/Renew", {"lease_id": "l"}, "lease-a ends with its last process"),
        ("release l", "Leases/Release", {"lease_id": "l"}, "lease-a is released; its memory"),
        ("cancel key", "Leases/Cancel", {"request_id": "key"}, "lease-a has ended"),
        ("events", "Events/List", {}, "-  lease-a  granted to alice"),
        ("env l", "Leases/Environment", {"lease_id": "l"}, "export CUDA_VISIBLE_DEVICES=1"),
        (
            "env l --format systemd --mask-format uuid",
            "Leases/Environment",
            {"lease_id": "l", "mask_format": "MASK_FORMAT_UUID"},
            'CUDA_VISIBLE_DEVICES="1"',
        ),
        (
            "attach l --pid 7",
            "Leases/Attach",
            {"lease_id": "l", "process": {"pid": 7}},
            "process 7 is under lease-a",
        ),
        (
            "allocate --gpus 2 --attach-deadline 5m",
            "Leases/Allocate",
            {"count": 2, "attach_deadline": "300s"},
            "export GPUSCHED_LEASE=lease-a",
        ),
        ("allocate --format systemd", "Leases/Allocate", {}, 'GPUSCHED_LEASE="lease-a"'),
        (
            "allocate --label a=b --label c=",
            "Leases/Allocate",
            {"labels": {"a": "b", "c": ""}},
            "export GPUSCHED_LEASE=lease-a",
        ),
        ("allocate --format json", "Leases/Allocate", {}, '"container_environment": {'),
        (
            "explain --gpu-type l4,t4",
            "Leases/Explain",
            {"request": {"gpu_types": ["l4", "t4"]}},
            "it would be granted",
        ),
        ("explain --lease l", "Leases/Explain", {"lease_id": "l"}, "it would be granted"),
        ("explain --device 3", "Leases/Explain", {"device": "3"}, "it would be granted"),
        (
            "explain --device 3 --over-use terminate",
            "Leases/Explain",
            {"request": {"device_uuids": ["3"], "over_use": "OVER_USE_TERMINATE"}},
            "it would be granted",
        ),
        (
            "explain --device 3,4",
            "Leases/Explain",
            {"request": {"device_uuids": ["3", "4"]}},
            "it would be granted",
        ),
    ],
)
def test_what_a_command_asks_and_prints(
    socket_folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: str,
    method: str,
    message: Fields,
    output: str,
) -> None:
    """Each command asks one thing and prints the answer in words, and with --json as it came."""
    with gateway(socket_folder, ANSWERS) as served:
        assert command_line.main(words_for(served.path, words), never) == 0
        plain = capsys.readouterr()
        assert command_line.main([*words_for(served.path, words), "--json"], never) == 0
    assert served.asked == [(method, message)] * 2
    assert output in plain.out
    answer = ANSWERS[method]
    assert isinstance(answer, bytes)
    assert json.loads(capsys.readouterr().out) == json.loads(answer.partition(b"\r\n\r\n")[2])


def test_quiet(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet a verb that succeeds says nothing, and warnings are left out."""
    with gateway(socket_folder, ANSWERS) as served:
        for words in ("release l", "renew l", "attach l --pid 7", "cancel k"):
            assert command_line.main(words_for(served.path, f"--quiet {words}"), never) == 0
    assert capsys.readouterr() == ("", "")


def test_warnings_are_beside_the_output(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `eval` reads has no warning in it."""
    with gateway(socket_folder, ANSWERS) as served:
        command_line.main(words_for(served.path, "allocate"), never)
    out, error = capsys.readouterr()
    assert all(line.startswith("export ") for line in out.splitlines())
    assert error == "gpusched: masks are advice\n"


def test_following_events(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--follow` tells what was, then what comes, and ends with the daemon."""
    with gateway(socket_folder, ANSWERS) as served:
        assert command_line.main(words_for(served.path, "events --follow"), never) == 69
        out, error = capsys.readouterr()
        assert out == "-  lease-a  granted to alice\n-  lease-b  ended\n"
        assert error.count("\n") == 1
        command_line.main(words_for(served.path, "events --follow --json"), never)
    assert served.asked[1] == ("Events/Watch", {"after_sequence": "4"})
    *events, last = [json.loads(one) for one in capsys.readouterr().out.splitlines()]
    assert [one["sequence"] for one in events] == ["4", "5"]
    assert "error" in last


def test_no_leases(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list is words; requests that wait are beside the living leases."""
    waiting: Fields = {
        "request": {"request_id": "key"},
        "user": "bob",
        "position": 1,
        "waits_for": "the end of lease-a",
    }
    with gateway(socket_folder, {"Leases/List": reply({"waiting": [waiting]})}) as served:
        command_line.main(words_for(served.path, "leases"), never)
        command_line.main(words_for(served.path, "leases --ended"), never)
    assert capsys.readouterr().out == (
        "no leases\n\n"
        "PLACE   REQUEST   USER   CLASS   WAITED   WAITS FOR\n"
        "    1   key       bob    -            -   the end of lease-a\n"
        "no leases have ended\n"
    )


def test_cancelling_what_waits(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A request that had no lease yet leaves the queue."""
    with gateway(socket_folder, {"Leases/Cancel": reply({})}) as served:
        command_line.main(words_for(served.path, "cancel key"), never)
    assert capsys.readouterr().out == "key no longer waits\n"


def test_devices_of_the_present_environment(
    socket_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--device env` asks for the devices of the present mask."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    with gateway(socket_folder, ANSWERS) as served:
        command_line.main(words_for(served.path, "allocate --device env"), never)
    assert served.asked == [("Leases/Allocate", {"device_uuids": ["2", "3"]})]


def test_config_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All faults of the configuration are told at once, a line each, without a daemon."""
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('[sampling]\ninterval = "2s"\n')
    bad.write_text("[sampling]\ninterval = 2\nfrob = 1\n")
    assert command_line.main(["config", "check", "--config", str(good)], never) == 0
    assert capsys.readouterr().out == "the configuration has no faults\n"
    assert command_line.main(["config", "check", "--config", str(bad)], never) == 64
    error = capsys.readouterr().err
    assert error.count("\n") == 2
    assert all(line.startswith(f"gpusched: {bad}: sampling.") for line in error.splitlines())


def test_a_defect_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect names its error and how to report it; only GPUSCHED_DEBUG shows a traceback."""

    def broken(_options: object) -> int:
        raise RuntimeError("two words")

    monkeypatch.delenv("GPUSCHED_DEBUG", raising=False)
    assert command_line.main(["serve"], broken) == 70
    error = capsys.readouterr().err
    assert "RuntimeError: two words" in error
    assert "report" in error
    assert error.count("\n") == 1
    monkeypatch.setenv("GPUSCHED_DEBUG", "1")
    assert command_line.main(["serve"], broken) == 70
    assert "Traceback" in capsys.readouterr().err


def test_no_daemon(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a daemon every command that needs one ends with 69 and says where it looked."""
    monkeypatch.setitem(os.environ, "GPUSCHED_SOCKET", "/nowhere/g.sock")
    for words in (["status"], ["run", "--", "true"], ["leases"], ["status", "--json"]):
        assert command_line.main(words, never) == 69
        assert "there is no socket at /nowhere/g.sock; " in capsys.readouterr().err
