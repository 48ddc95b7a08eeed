"""Quotas and pools with real workers of two users: who has too much, and what moves when."""

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.host import Host, as_user, first_line, kill

pytestmark = pytest.mark.root

ONE, OTHER = 65533, 65534
GROUP = 54321
_TICKS = '[sampling]\ninterval = "100ms"\n'
QUOTAS = f"""
[[quotas]]
user = {ONE}
devices = 2

[[quotas]]
group = {GROUP}
devices = 3
"""
POOLS = f"""
[pools.training]
devices = ["0", "1"]
users = [{ONE}]
"""
_WORK = ("sh", "-c", "echo here; exec sleep 600")


@pytest.fixture
def quoted() -> Iterator[Host]:
    """A daemon over eight devices, with a quota of a user and one of a group."""
    with Host() as host:
        host.config.write_text(_TICKS + QUOTAS)
        host.start_daemon()
        yield host


def run_as(
    host: Host, uid: int, *wishes: str, groups: tuple[int, ...] = (GROUP,)
) -> subprocess.Popen[str]:
    """Start a worker of another user that keeps its lease."""
    worker = host.start(*as_user(uid, *groups), "run", *wishes, "--", *_WORK)
    assert first_line(worker).strip() == "here"
    return worker


def refused_as(host: Host, code: int, uid: int, *wishes: str) -> str:
    """Ask as another user in the group for what is refused; give its first line."""
    done = host.run(*as_user(uid, GROUP), "run", *wishes, "--", "true")
    assert done.returncode == code, done
    return done.stderr.splitlines()[0].removeprefix("gpusched: ")


def end(host: Host, worker: subprocess.Popen[str]) -> None:
    """End a worker, and wait until its lease is over."""
    before = len(host.leases())
    worker.kill()
    worker.wait()
    host.until(lambda: len(host.leases()) < before)


def configure(host: Host, text: str) -> None:
    """Let the daemon read another configuration."""
    host.config.write_text(_TICKS + text)
    before = host.log_text.count("configuration read")
    kill(host.pid, signal.SIGHUP)
    host.until(lambda: host.log_text.count("configuration read") > before)


def pools(host: Host) -> list[str]:
    """The pools of the devices, with where they move to."""
    return [
        one.text("pool") + "->" * bool(moves) + moves
        for one in host.devices()
        for moves in [one.words("attributes").get("moves_to_pool", "")]
    ]


def test_a_user_and_his_group_have_no_more_than_they_may(quoted: Host) -> None:
    """Each has what his quota allows, both together what the group's does, until one ends."""
    first = run_as(quoted, ONE, "--gpus", "2")
    assert refused_as(quoted, 75, ONE).startswith(
        f"quota of uid {ONE}: devices: 2 of 2 used, 1 wanted; release one of them"
    )
    assert refused_as(quoted, 78, ONE, "--gpus", "3").startswith(
        f"quota of uid {ONE}: devices: 2 of 2 used, 3 wanted"
    )
    run_as(quoted, OTHER)
    assert refused_as(quoted, 75, OTHER).startswith(
        f"quota of gid {GROUP}: devices: 3 of 3 used, 1 wanted"
    )
    run_as(quoted, OTHER, groups=())
    shown = quoted.run(*as_user(OTHER, GROUP), "status", "--json")
    quota = {"subject": f"gid {GROUP}", "resource": "devices", "used": "3", "allowed": "3"}
    assert json.loads(shown.stdout)["quotas"] == [quota]
    end(quoted, first)
    run_as(quoted, OTHER, "--gpus", "2")


def test_sums_outlive_a_crash(quoted: Host) -> None:
    """After `kill -9` of the daemon what a user has is still on his account."""
    run_as(quoted, ONE, "--gpus", "2")
    quoted.kill_daemon()
    quoted.start_daemon()
    assert refused_as(quoted, 75, ONE).startswith(f"quota of uid {ONE}: devices: 2 of 2 used")


def test_a_device_with_a_lease_moves_when_it_has_ended(quoted: Host) -> None:
    """A reload moves free devices at once, and one that is leased with the end of its lease."""
    held = run_as(quoted, OTHER, "--device", "0", "--memory", "1GiB", groups=())
    configure(quoted, POOLS)
    assert pools(quoted)[:3] == ["->training", "training", ""]
    assert quoted.devices()[0].text("unschedulable_reason") == (
        "moves from pool default to pool training when the leases on it have ended"
    )
    wish = ("--pool", "training", "--device", "0", "--memory", "1GiB")
    assert "moves from pool default" in refused_as(quoted, 75, ONE, *wish)
    assert refused_as(quoted, 77, OTHER, *wish).startswith(
        f"pool training is for uid {ONE}; open to you: default"
    )
    assert refused_as(quoted, 64, ONE, "--pool", "x").startswith("--pool: there is no pool 'x'")
    end(quoted, held)
    assert quoted.devices()[0].text("pool") == "training"
    run_as(quoted, ONE, *wish)
    assert "0: is in pool training" in refused_as(quoted, 78, OTHER, "--device", "0")


def test_faults_in_a_quota_stop_the_start(quoted: Host) -> None:
    """A name that nobody has is a fault, at the start as well as in a reload."""
    quoted.stop_daemon()
    quoted.config.write_text('[[quotas]]\nuser = "no-such-user"\ndevices = 1\n')
    (line,) = quoted.serve_refused(64)
    assert "quotas, number 1: user: this host has no user 'no-such-user'" in line
