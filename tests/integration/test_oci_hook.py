"""The hook that a container runtime calls: it attaches, or says in one line why not."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpusched.launch.oci_hook import oci_hook
from tests.fakes.gateway import gateway, refusal, reply
from tests.fakes.messages import lease

STATE = {"ociVersion": "1.0.2", "id": "ab" * 32, "status": "creating", "pid": 4242, "bundle": "/b"}


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(STATE)))


def words(socket: Path) -> list[str]:
    """What a document says behind the command."""
    return ["--lease", "lease-a", "--socket", str(socket)]


@pytest.mark.usefixtures("state")
def test_it_attaches_the_first_process(
    socket_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process that the state names is attached, and nothing is said."""
    with gateway(socket_folder, {"Leases/Attach": reply({"lease": lease("lease-a")})}) as asked:
        assert oci_hook(words(asked.path)) == 0
    assert asked.asked == [("Leases/Attach", {"lease_id": "lease-a", "process": {"pid": 4242}})]
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("state")
def test_a_refusal_is_one_line(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The runtime shows what the daemon says, and starts nothing."""
    script = {
        "Leases/Attach": refusal("FAILED_PRECONDITION", "lease-a has ended: released", status=409)
    }
    with gateway(socket_folder, script) as asked:
        assert oci_hook(words(asked.path)) == 1
    said = "gpusched: the container does not start: lease-a has ended: released\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.usefixtures("state")
def test_no_daemon(socket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a daemon nobody would hold the mask: the container does not start."""
    assert oci_hook(words(socket_folder / "none")) == 1
    assert capsys.readouterr().err.startswith("gpusched: the container does not start: ")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 0}', '{"pid": "7"}'])
def test_what_is_no_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Who types it by hand is told what to type instead."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert oci_hook(words(Path("/none"))) == 1
    assert "gpusched attach LEASE --container C" in capsys.readouterr().err


def test_it_is_started_without_an_environment() -> None:
    """As a document has it called: by this Python, with nothing of the caller's environment."""
    command = [sys.executable, "-I", "-m", "gpusched", "oci-hook"]
    done = subprocess.run(  # noqa: S603 - our own words
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("gpusched: oci-hook is called by container runtimes")
