"""The service under a real systemd: ready, hung, killed, stopped; its leases outlive all of it."""

import pytest

from tests.systemd.service.installed import SPEC, Installed, Worker

pytestmark = pytest.mark.nspawn

_DROP_INS = "/run/systemd/system/gpusched.service.d"
_UPSETS = {
    "restart": "systemctl restart gpusched.service",
    "daemon-reload": "systemctl daemon-reload",
    "daemon-reexec": "systemctl daemon-reexec",
    "kill": "kill -9 $(systemctl show --value -p MainPID gpusched.service)",
    "setup": f"env -u PYTHONPATH gpusched setup --simulate {SPEC}",
}
_EXCEPT_TWO = ["EPERM", "EPERM", "ENXIO", "EPERM"]


@pytest.fixture(scope="module")
def service(lasting: Installed) -> Installed:
    """The machine that these files of tests share."""
    return lasting


def _upset(host: Installed, kind: str) -> None:
    before = int(host.show("NRestarts"))
    host.machine.told("sh", "-c", _UPSETS[kind])
    if kind == "kill":
        host.until("a restart", lambda: int(host.show("NRestarts")) > before)
    host.until("an active service", lambda: host.show("ActiveState") == "active")


def test_started_means_ready(host: Installed) -> None:
    """When `systemctl restart` returns, the daemon answers at once and says that it serves."""
    for _ in range(3):
        host.machine.told("systemctl", "restart", "gpusched.service")
        assert host.gpusched("devices", "--json").returncode == 0
    assert host.show("StatusText") == "serving"
    assert host.show("Type") == "notify"


def test_a_hung_daemon_is_replaced(host: Installed) -> None:
    """A daemon whose loop stands still is killed by the watchdog, and the next has its leases."""
    lease = host.allocate("--gpus", "1")
    script = f"mkdir -p {_DROP_INS}; printf '[Service]\\nWatchdogSec=2s\\n' > {_DROP_INS}/w.conf"
    host.machine.told("sh", "-c", script)
    host.machine.told("systemctl", "daemon-reload")
    host.machine.told("systemctl", "restart", "gpusched.service")
    try:
        hung, before = host.show("MainPID"), int(host.show("NRestarts"))
        host.machine.told("kill", "-STOP", hung)
        host.until("a restart", lambda: int(host.show("NRestarts")) > before)
        host.until("an active service", lambda: host.show("ActiveState") == "active")
        assert host.show("MainPID") != hung
        assert list(host.leases()) == [lease]
        assert "Watchdog timeout" in host.machine.told("journalctl", "-u", "gpusched", "-ocat")
    finally:
        host.machine.told("rm", "-r", _DROP_INS)
        host.machine.told("systemctl", "daemon-reload")
        host.machine.told("systemctl", "restart", "gpusched.service")


@pytest.mark.parametrize("kind", list(_UPSETS))
def test_leases_outlive(host: Installed, kind: str) -> None:
    """A lease with a process and one without are the same after each upset of the service."""
    kept = host.allocate("--device", "0")
    with Worker(host, "--device", "2"):
        before = set(host.leases())
        assert kept in before
        assert len(before) == 2
        _upset(host, kind)
        assert set(host.leases()) == before


@pytest.mark.parametrize("kind", list(_UPSETS))
def test_masks_outlive(host: Installed, kind: str) -> None:
    """A process opens the devices of its lease and no other, before and after each upset."""
    with Worker(host, "--device", "2") as worker:
        assert worker.opens() == _EXCEPT_TWO
        _upset(host, kind)
        assert worker.opens() == _EXCEPT_TWO


def test_a_mask_holds_while_the_daemon_is_away(host: Installed) -> None:
    """Between stop and start nobody opens more than before."""
    with Worker(host, "--device", "2") as worker:
        host.machine.told("systemctl", "stop", "gpusched.service")
        try:
            assert worker.opens() == _EXCEPT_TWO
        finally:
            host.machine.told("systemctl", "start", "gpusched.service")
        assert worker.opens() == _EXCEPT_TWO


def test_a_user_has_a_mask(host: Installed) -> None:
    """An ordinary user's process is masked as root's is."""
    with Worker(host, "--device", "1", user="ann") as worker:
        assert worker.opens() == ["EPERM", "ENXIO", "EPERM", "EPERM"]


def test_slices_go_with_their_leases(host: Installed) -> None:
    """While a lease lives systemd has its slice; with its end the slice is gone."""
    with Worker(host, "--device", "2"):
        assert len(host.slices()) == 1
    host.until("no slice", lambda: not host.slices())


def test_stop_leaves_the_leases_only(host: Installed) -> None:
    """After a stop there is no process and no cgroup of the service; workers of leases run on."""
    with Worker(host, "--device", "2") as worker:
        before = set(host.leases())
        host.machine.told("systemctl", "stop", "gpusched.service")
        try:
            assert not host.machine.cgroup("/system.slice/gpusched.service").exists()
            assert host.machine.run(["pgrep", "-f", "gpusched serve"]).stdout == ""
            assert len(worker.opens()) == 4
        finally:
            host.machine.told("systemctl", "start", "gpusched.service")
        assert set(host.leases()) == before
