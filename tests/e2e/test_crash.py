"""After a crash of the daemon everything that was granted is there, and true again."""

import os
import sqlite3
from pathlib import Path

import pytest

import gpusched
from tests.e2e.host import GIB, HELD, Host, lease_of
from tools.stage import GPUSCHED, end

ACTIVE = "LEASE_STATE_ACTIVE"

_ASK_AND_VANISH = r"""
import os, socket
body = b'{"count": 8, "attach_caller": true}'
head = b"POST /v1/Leases/Allocate HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
asking = socket.socket(socket.AF_UNIX)
asking.connect(os.environ["GPUSCHED_SOCKET"])
asking.sendall(head + body)
os._exit(0)
"""


def _crash_and_come_back(host: Host) -> None:
    host.kill_daemon()
    host.start_daemon()


def test_a_crash_loses_no_lease(own_host: Host) -> None:
    """After kill -9 and a restart the leases are the same, field by field that was decided."""
    host = own_host
    host.allocate("--gpus", "2", "--gpu-type", "a100", "--label", "job=train")
    host.allocate("--memory", "7GiB", "--time-limit", "1h")
    host.worker("1GiB", "--gpu-type", "l4")
    before = host.leases()
    _crash_and_come_back(host)
    after = host.leases()
    assert list(after) == list(before)
    for name, lease in before.items():
        for field in ("state", "holder", "labels", "request", "created_at", "granted_generation"):
            assert after[name].fields.get(field) == lease.fields.get(field), field
        shares = [one.text("uuid") for one in lease.parts("devices")]
        assert [one.text("uuid") for one in after[name].parts("devices")] == shares


def test_a_request_is_known_after_a_crash(own_host: Host) -> None:
    """The same `request_id` gets the same lease from the next daemon, and nothing more."""
    host = own_host
    with gpusched.Client(str(host.socket)) as client:
        first = client.allocate(gpus=2, request_id="once").lease.id
        _crash_and_come_back(host)
        again = client.allocate(gpus=2, request_id="once").lease.id
    assert again == first
    assert list(host.leases()) == [first]


def test_a_worker_outlives_the_daemon(own_host: Host) -> None:
    """A worker runs on while there is no daemon, and is attributed by the next one."""
    host = own_host
    worker = host.worker("3GiB", "--gpu-type", "l4")
    _crash_and_come_back(host)
    assert worker.poll() is None
    host.until(lambda: worker.pid in host.processes())
    row = host.processes()[worker.pid]
    assert (row.text("lease_id"), row.measured("memory")) == (lease_of(worker.pid), 3 * GIB)


@pytest.mark.parametrize("how", ["linked", "moved"])
def test_a_lease_outlives_another_name_of_the_state_folder(own_host: Host, how: str) -> None:
    """A daemon whose state folder is named by a link, or was moved, ends no lease that lives."""
    host = own_host
    holder = host.start(str(GPUSCHED), "run", "--gpus", "1", "--", "sleep", "300")
    host.until(lambda: any(one.text("state") == ACTIVE for one in host.leases().values()))
    (lease,) = host.leases()
    host.kill_daemon()
    elsewhere = host.folder / "elsewhere"
    if how == "linked":
        elsewhere.symlink_to(host.state)
    else:
        host.state.rename(elsewhere)
    host.environment["GPUSCHED_STATE_DIR"] = str(elsewhere)
    host.start_daemon()
    host.told("status")
    assert host.leases()[lease].text("state") == ACTIVE
    end(holder)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    if how == "moved" and HELD:
        # Named after the folder of before, it is not this daemon's to remove.
        host.until(lambda: "not cleared away" in host.log_text)
        for left in host.cgroups.leases():
            left.rmdir()


def test_what_ended_while_the_daemon_was_down_ends_with_it(own_host: Host) -> None:
    """A lease whose last process ended in between is ended by the next daemon."""
    host = own_host
    worker = host.worker("1GiB")
    lease = lease_of(worker.pid)
    host.kill_daemon()
    end(worker)
    host.start_daemon()
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")


def test_the_time_without_a_daemon_does_not_count(own_host: Host) -> None:
    """Every clock is extended by the time in which nobody could attach or renew."""
    host = own_host
    lease = host.allocate("--attach-deadline", "5m")
    host.kill_daemon()
    _be_away(host.state / "ledger.db", seconds=3600)
    host.start_daemon()
    assert lease in host.leases()
    events = [one.text("sentence") for one in host.told("events").parts("events")]
    assert any("the daemon was away" in one for one in events)


def test_a_reboot_ends_every_lease(own_host: Host) -> None:
    """A ledger of another boot is history: its holders are gone, and its devices free."""
    host = own_host
    leases = [host.allocate("--gpus", "3"), host.allocate("--memory", "1GiB")]
    assert host.stop_daemon() == 0
    _change(host.state / "ledger.db", "UPDATE meta SET value = 'another' WHERE key = 'boot_id'")
    host.start_daemon()
    assert not host.leases()
    assert {host.ended(one) for one in leases} == {"END_REASON_REBOOT"}
    host.allocate("--gpus", "8")


def test_the_library_process_goes_with_the_daemon(own_host: Host) -> None:
    """A crashed daemon leaves no process behind that holds the driver."""
    host = own_host
    (child,) = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()
    descriptor = os.pidfd_open(int(child))
    try:
        host.kill_daemon()
        host.until(lambda: not Path(f"/proc/{child}").exists())
    finally:
        os.close(descriptor)


def test_a_socket_left_behind_is_replaced(own_host: Host) -> None:
    """A restart needs nobody to tidy up after the crash."""
    host = own_host
    host.kill_daemon()
    assert host.socket.is_socket()
    assert host.gpusched("status").returncode == 69
    host.start_daemon()
    assert host.gpusched("status").returncode == 0


def test_a_client_that_vanishes_leaves_no_half_granted_lease(own_host: Host) -> None:
    """Who asks to hold devices and is gone before the answer does not hold them."""
    host = own_host
    for _ in range(5):
        host.program(_ASK_AND_VANISH)
    host.until(lambda: not host.leases())
    host.allocate("--gpus", "8")


def _be_away(path: Path, seconds: int) -> None:
    """Let the last sign of life be so much older."""
    back = seconds * 10**9
    statement = f"UPDATE meta SET value = value - {back} WHERE key = 'alive_at'"  # noqa: S608 - a number of ours
    _change(path, statement)


def _change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()
