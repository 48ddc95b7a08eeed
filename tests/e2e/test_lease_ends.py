"""When a lease ends: with the last of its processes, or by one of its clocks."""

import signal
import subprocess

import gpusched
from tests.e2e.host import Host, children_of, first_line, kill, lease_of, members
from tools.stage import GPUSCHED, end

_TWO = "sleep 60 & echo $!; wait"
_DETACHED = "setsid sh -c 'echo $$; exec sleep 60 >/dev/null' & wait $!"


def _run(host: Host, script: str) -> tuple[subprocess.Popen[str], int, str]:
    """Start a shell under a lease; give it, the pid of its child, and the lease."""
    told = f"echo $GPUSCHED_LEASE; {script}"
    shell = host.start(str(GPUSCHED), "run", "--", "sh", "-c", told)
    lease = first_line(shell).strip()
    return shell, int(first_line(shell)), lease


def test_a_lease_ends_with_its_only_process(host: Host) -> None:
    """The devices are free again when the worker has ended by itself."""
    worker = host.worker("1GiB", "--gpu-type", "l4")
    lease = lease_of(worker.pid)
    assert end(worker) == 0
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    assert all(not one.number("allocated_bytes") for one in host.devices())


def test_kill_9_of_a_worker_ends_its_lease(host: Host) -> None:
    """A worker that has no time to say goodbye is noticed all the same."""
    worker = host.worker("1GiB")
    lease = lease_of(worker.pid)
    worker.kill()
    worker.wait()
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    host.until(lambda: worker.pid not in host.processes())


def test_an_unreaped_worker_does_not_hold_its_lease(host: Host) -> None:
    """A zombie uses nothing, so nobody has to wait for its parent."""
    worker = host.worker("1GiB")
    lease = lease_of(worker.pid)
    worker.kill()
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")


def test_kill_9_of_the_parent_keeps_the_lease_for_its_child(host: Host) -> None:
    """A lease ends with its last process, not with the one that asked."""
    shell, child, lease = _run(host, _TWO)
    host.until(lambda: child in members(host.leases()[lease]))
    shell.kill()
    shell.wait()
    host.until(lambda: members(host.leases()[lease]) == [child])
    assert host.leases()[lease].flag("asker_gone")
    kill(child)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")


def test_a_child_of_the_last_moment_is_found(host: Host) -> None:
    """A child that is orphaned before any tick could see it keeps the lease."""
    shell, child, lease = _run(host, "sleep 60 >/dev/null & echo $!")
    shell.wait()
    host.until(lambda: members(host.leases()[lease]) == [child])
    kill(child)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")


def test_a_daemonised_grandchild_keeps_the_lease(host: Host) -> None:
    """A process in a session of its own, whose ancestors have ended, belongs to the lease."""
    shell, grandchild, lease = _run(host, _DETACHED)
    host.until(lambda: grandchild in members(host.leases()[lease]))
    for child in children_of(shell.pid):
        if child != grandchild:
            kill(child)
    shell.kill()
    shell.wait()
    host.until(lambda: members(host.leases()[lease]) == [grandchild])
    kill(grandchild, signal.SIGTERM)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")


def test_a_lease_that_nobody_enters_ends(host: Host) -> None:
    """The attach deadline gives back what was reserved and forgotten."""
    lease = host.allocate("--attach-deadline", "300ms")
    assert lease
    host.until(lambda: host.ended(lease) == "END_REASON_ATTACH_DEADLINE")


def test_an_attached_lease_has_no_attach_deadline(host: Host) -> None:
    """The attach deadline stops when the first process comes."""
    lease = host.allocate("--attach-deadline", "5m")
    sleeper = host.start("sleep", "60")
    host.told("attach", lease, "--pid", str(sleeper.pid))
    assert "attach_deadline" not in host.leases()[lease]


def test_a_lease_ends_at_its_time_limit(host: Host) -> None:
    """The time limit ends the lease, and its process without a lease is called a stray."""
    worker = host.stray("1GiB", 0)
    host.until(lambda: worker.pid in host.processes())
    # Only now: a process may take longer to start than the lease lasts.
    with gpusched.Client(str(host.socket)) as client:
        lease = client.allocate(devices=[0], memory="2GiB", time_limit="1s").lease.id
        client.attach(lease, worker.pid)
    host.until(lambda: _is_ending(host, lease))
    end(worker)
    host.until(lambda: host.ended(lease) == "END_REASON_TIME_LIMIT")


def _is_ending(host: Host, lease: str) -> bool:
    """Look once: between two looks a lease that ends has ended."""
    found = host.leases().get(lease)
    return found is None or found.text("state") == "LEASE_STATE_RELEASING"
