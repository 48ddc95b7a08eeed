"""Specification: how `gpusched doctor` looks: at everything once, and it never hangs."""

import io
import json
import os
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gpusched.adapters.nvml.simulated import parse_scenario
from gpusched.adapters.nvml.simulated.directory import prepare
from gpusched.adapters.nvml.supervisor import child_command
from gpusched.bootstrap.doctor import ask_nvml
from gpusched.cli import main as command_line
from gpusched.core.sample import Unavailable
from gpusched.doctor import examine as examining
from gpusched.doctor import host as looking
from gpusched.doctor.asking import ask_daemon
from gpusched.doctor.examine import examine
from gpusched.doctor.execution import Silent, Unstartable, execute
from gpusched.doctor.finding import Level
from gpusched.doctor.host import Hidden, Host, Node
from gpusched.doctor.situation import DaemonAnswer, DriverFacts
from gpusched.doctor.versions import version_in
from tests.fakes.doctor_cases import diagnosed
from tests.fakes.doctor_host import DRIVER, FakeHost, healthy, healthy_gpu
from tests.fakes.gateway import gateway, reply
from tests.fakes.surveyed import surveyed

STATUS: dict[str, object] = {
    "version": "0.1.0",
    "enforcement": {"level": "ENFORCEMENT_LEVEL_GUARD"},
}


def never(_options: object) -> int:
    """Stands where the daemon would be started."""
    raise AssertionError


def test_nvml_is_not_asked_without_a_driver(tmp_path: Path) -> None:
    """As root a failing NVML makes a device node; the doctor leaves the host as it was."""
    host = healthy(tmp_path)
    host.remove("/proc/driver/nvidia")
    situation = host.situation()

    def asked() -> DriverFacts:
        raise AssertionError

    probes = replace(situation.probes, driver=asked)
    assert list(examine(replace(situation, probes=probes), lambda _: None))


def test_the_daemons_reading_goes_before_our_own(tmp_path: Path) -> None:
    """Where a daemon serves real devices, its NVML process is asked, and no second one started."""
    host = healthy(tmp_path)
    host.daemon = DaemonAnswer("0.1.0", facts=DriverFacts(DRIVER, "12.4", (healthy_gpu(0),)))
    found = {one.name: one.seen for one in examine(host.situation(), lambda _: None)}
    assert found["cuda"].startswith("the driver offers 12.4,")


def test_json_and_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints every finding as an object; `--quiet` leaves out what is in order."""

    def change(host: FakeHost) -> None:
        host.synchronised = False

    assert diagnosed(tmp_path / "a", change, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["worst"] == "WARN"
    assert document["findings"][-1] == {
        "name": "clock",
        "level": "WARN",
        "seen": "not synchronised: times shown may be wrong; deadlines run on another clock",
        "advice": "`sudo timedatectl set-ntp true`, or start chrony",
    }
    assert diagnosed(tmp_path / "b", change, "--quiet") == 0
    assert [line[:6] for line in capsys.readouterr().out.splitlines()] == ["WARN  ", "      "]


@pytest.mark.parametrize("text", ["twelve", "12.x", "", "1.2.3.4"])
def test_a_cuda_version_is_a_version(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no version is refused with exit code 64."""
    assert command_line.main(["doctor", "--cuda", text], never) == 64
    assert "is not a version; write for example 12.4" in capsys.readouterr().err


def test_a_check_that_takes_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a check takes longer than a second, somebody who waits is told which one."""
    monkeypatch.setattr(examining, "QUIET", 0.05)
    host = healthy(tmp_path)
    situation = host.situation()
    told = threading.Event()

    def slow() -> None:
        assert told.wait(20)

    def still(name: str) -> None:
        if name == "landlock":  # on a busy machine others take long as well
            told.set()

    probes = replace(situation.probes, landlock=slow)
    assert list(examine(replace(situation, probes=probes), still))
    assert told.is_set()


def test_a_program_that_hangs_is_left_behind() -> None:
    """A program that does not answer is killed with what it started, and said by its words."""
    with pytest.raises(Silent, match=r"`sh -c sleep 60 & wait` did not answer within 0.2 s"):
        execute(("sh", "-c", "sleep 60 & wait"), 0.2)


def test_programs_that_are_not_there_or_do_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is absent is none; one of another machine is named."""
    (tmp_path / "docker").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert execute(("gpusched-no-such-program",), 1) is None
    with pytest.raises(Unstartable, match="docker cannot be started: Exec format error"):
        execute(("docker", "info"), 1)


def test_a_driver_that_hangs_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's file that gives no answer is named after its time, and not waited for twice."""
    monkeypatch.setattr(looking, "DRIVER_PATIENCE", 2)
    host = healthy(tmp_path)
    host.remove("/proc/driver/nvidia/version")
    fifo = tmp_path / "proc/driver/nvidia/version"
    os.mkfifo(fifo)
    found = [one for one in examine(host.situation(), lambda _: None) if one.level is Level.FAIL]
    assert [one.name for one in found] == ["driver"]
    assert "did not answer within 2 s" in found[0].seen


def test_a_file_that_hangs_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that never answers, as of a dead server, is named; the other checks are made."""
    monkeypatch.setattr(looking, "FILE_PATIENCE", 2)
    host = healthy(tmp_path)
    host.remove("/proc/1/cmdline")
    os.mkfifo(tmp_path / "proc/1/cmdline")
    os.mkfifo(tmp_path / "var/run/cdi/another.json")
    findings = list(examine(host.situation(), lambda _: None))
    found = {one.name: one.seen for one in findings if one.level is Level.FAIL}
    assert found == {
        "mps": "/proc/1/cmdline did not answer within 2 s",
        "cdi files": "/var/run/cdi/another.json did not answer within 2 s",
    }
    assert findings[-1].name == "clock"


def test_nvml_is_asked_in_a_process(tmp_path: Path) -> None:
    """Over the simulated library: versions and modes as nvidia-smi says them."""
    prepare(tmp_path / "simulator", parse_scenario("2xH100"))
    facts = ask_nvml(child_command(tmp_path / "simulator"))
    assert isinstance(facts, DriverFacts)
    assert version_in(facts.cuda) is not None
    assert [(one.index, one.mig, one.compute_mode) for one in facts.gpus] == [
        (0, "Disabled", "Default"),
        (1, "Disabled", "Default"),
    ]
    assert {one.persistence for one in facts.gpus} <= {"Enabled", "Disabled"}


def test_nvml_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """An NVML that does not answer is given up, and the reason says what that may mean."""
    command = (sys.executable, "-m", "tests.fakes.nvml_child", "hang", str(tmp_path / "starts"))
    (tmp_path / "starts").touch()
    found = ask_nvml(command, patience=1.0)
    assert isinstance(found, Unavailable)
    assert found.reason.startswith("NVML did not answer within 1 s;")


def test_the_daemon_is_asked(tmp_path: Path) -> None:
    """Version, level and what NVML told the daemon are in its answer."""
    script = {"Node/Status": reply(STATUS), "Node/Survey": reply(surveyed("2xH100"))}
    with gateway(tmp_path, script) as served:
        answer = ask_daemon(str(served.path))
    assert (answer.version, answer.level, answer.reason) == ("0.1.0", "guard", "")
    assert isinstance(answer.facts, DriverFacts)
    assert [one.index for one in answer.facts.gpus] == [0, 1]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ({"unavailable": "the driver has been let go"}, "the driver has been let go"),
        (None, "answers with HTTP 500 and no reason"),
    ],
)
def test_the_daemon_has_no_reading(
    tmp_path: Path, script: dict[str, object] | None, reason: str
) -> None:
    """A daemon without a reading says why, and so does the doctor."""
    survey = reply({}, 500) if script is None else reply(script)
    with gateway(tmp_path, {"Node/Status": reply(STATUS), "Node/Survey": survey}) as served:
        answer = ask_daemon(str(served.path))
    assert isinstance(answer.facts, Unavailable)
    assert reason in answer.facts.reason


def test_a_simulated_daemon_says_nothing_about_the_driver(tmp_path: Path) -> None:
    """Simulated devices are no reading of this host's driver."""
    with gateway(tmp_path, {"Node/Status": reply({**STATUS, "simulated": True})}) as served:
        assert ask_daemon(str(served.path)).facts is None


def test_no_daemon(socket_folder: Path) -> None:
    """No socket is told apart from a socket that nobody answers."""
    assert ask_daemon(str(socket_folder / "none")).absent
    left = str(socket_folder / "left")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(left)
    answer = ask_daemon(left)
    assert not answer.absent
    assert "no daemon answers" in answer.reason


@pytest.mark.root
def test_what_may_not_be_seen_raises(socket_folder: Path) -> None:
    """A folder that is closed hides what is in it: it is never taken for absent."""
    socket_folder.chmod(0o755)
    (socket_folder / "closed").mkdir(mode=0o700)
    host = Host(root=socket_folder)
    os.seteuid(65534)
    try:
        for look in (host.read, host.exists, host.node, host.link, host.space):
            with pytest.raises(Hidden, match="/closed/none"):
                look("/closed/none")
        with pytest.raises(Hidden, match="/closed"):
            host.entries("/closed")
    finally:
        os.seteuid(0)


def test_what_is_not_there_is_told_apart(tmp_path: Path) -> None:
    """What is absent is none, and a folder in a node's place is no device."""
    host = Host(root=tmp_path)
    (tmp_path / "open").mkdir()
    assert host.node("/open/none") is None
    assert host.node("/open") == Node(
        0, 0, (tmp_path / "open").stat().st_mode & 0o7777, character=False
    )
    assert host.changed_at("/open/none") is None
    assert host.space("/open").free > 0
    assert host.may_write("/open")
    assert host.entries("/none") == ()


def test_levels_are_coloured_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal the level has a colour, unless NO_COLOR is set."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for colour, expected in (("", "\x1b[32mOK    \x1b[0m"), ("1", "OK    ")):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setenv("NO_COLOR", colour)
        diagnosed(tmp_path / (colour or "0"), lambda _: None)
        assert terminal.getvalue().startswith(f"{expected}kernel")
