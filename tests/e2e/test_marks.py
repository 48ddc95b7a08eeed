"""An operator's marks and the driver that is let go, in a running daemon with real workers."""

from gpusched.client.document import Document
from tests.e2e.host import Host, children_of, command_of, lease_of

_CONFIG = '[sampling]\ninterval = "100ms"\n[leases]\ngrace = "1s"\n'


def _device(host: Host, index: int) -> Document:
    return sorted(host.devices(), key=lambda one: one.text("pci_bus_id"))[index]


def _restart(host: Host) -> None:
    """End the daemon and start another."""
    assert host.daemon is not None
    host.daemon.terminate()
    assert host.daemon.wait(20) == 0
    host.start_daemon()


def _libraries(host: Host) -> list[int]:
    return [pid for pid in children_of(host.pid) if "gpusched.adapters.nvml" in command_of(pid)]


def _host() -> Host:
    host = Host("2xL4")
    host.config.write_text(_CONFIG)
    return host


def test_a_cordon_survives_a_restart_and_spares_what_runs() -> None:
    """New leases are refused with who and why; the worker goes on; uncordon takes it off."""
    with _host() as host:
        host.start_daemon()
        worker = host.worker("1GiB", "--device", "0", "--memory", "2GiB")
        assert host.gpusched("cordon", "0", "--reason", "fan is loud").returncode == 0
        _restart(host)
        said = host.refused(75, "run", "--device", "0", "--memory", "1GiB", "--", "true")
        assert "cordoned by root" in said
        assert "fan is loud" in said
        cordon = _device(host, 0).part("cordon")
        assert (cordon.text("reason"), cordon.flag("drained")) == ("fan is loud", False)
        assert "(cordoned)" in host.gpusched("status").stdout
        assert worker.poll() is None
        worker.terminate()
        worker.wait()
        host.until(lambda: _device(host, 0).part("cordon").flag("drained"))
        assert host.gpusched("uncordon", "0").returncode == 0
        assert host.gpusched("run", "--device", "0", "--", "true").returncode == 0


def test_a_drain_ends_leases_at_its_deadline() -> None:
    """Its own lease ends by the ladder with the operator's reason; the neighbour goes on."""
    with _host() as host:
        host.start_daemon()
        worker, other = host.worker("1GiB", "--device", "0"), host.worker("1GiB", "--device", "1")
        lease = lease_of(worker.pid)
        reply = host.told("drain", "0", "--reason", "replace it", "--deadline", "5s")
        assert [one.text("id") for one in reply.parts("leases")] == [lease]
        assert "(draining)" in host.gpusched("status").stdout
        host.until(lambda: host.ended(lease) == "END_REASON_DRAINED")
        assert worker.wait(10) == 0
        assert other.poll() is None
        host.until(lambda: "(drained)" in host.gpusched("status").stdout)
        host.refused(75, "run", "--device", "0", "--", "true")


def test_the_driver_is_let_go_and_taken_up() -> None:
    """No process has it open; leases stand, also over a restart; an upgrade in between works."""
    with _host() as host:
        host.start_daemon()
        worker = host.worker("1GiB", "--device", "0")
        lease = lease_of(worker.pid)
        assert host.gpusched("nvml", "release", "--reason", "upgrade").returncode == 0
        assert _libraries(host) == []
        driver = host.told("status").part("driver")
        assert driver.text("state") == "DRIVER_STATE_RELEASED"
        assert "upgrade" in driver.text("sentence")
        assert "let go" in host.refused(75, "run", "--device", "1", "--", "true")
        _restart(host)
        assert _libraries(host) == []
        assert host.told("status").part("driver").text("state") == "DRIVER_STATE_RELEASED"
        assert "let go" in host.refused(75, "run", "--", "true")
        assert lease in host.leases()
        worker.terminate()
        worker.wait()
        # It ends, and waits for a reading to confirm that its memory is back.
        host.until(lambda: host.leases()[lease].text("state") == "LEASE_STATE_RELEASING")
        host.control('driver = "590.1.2"\n')
        assert "590.1.2" in host.gpusched("nvml", "resume").stdout
        host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
        assert host.gpusched("run", "--gpus", "2", "--", "true").returncode == 0


def test_a_driver_that_is_replaced_is_taken_up_by_itself() -> None:
    """Meanwhile nothing is granted and nothing ends; no command is needed."""
    with _host() as host:
        host.start_daemon()
        worker = host.worker("1GiB", "--device", "0")
        host.control('driver = "590.1.2"\n')
        host.until(
            lambda: (
                host.told("status").part("driver").part("driver_version").text("value")
                == "590.1.2"
            ),
            seconds=30,
        )
        assert lease_of(worker.pid) in host.leases()
        assert "HEALTH_LOST" not in [one.text("health") for one in host.devices()]
        assert worker.poll() is None
