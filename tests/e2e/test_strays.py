"""A process without a lease under each policy: beside leases, in the way, or on the way out."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.host import GIB, Host, first_line
from tools.stage import GPUSCHED, Failed

_TWO = "2xA100-40GB"
# As root the tests are of the user that is spared unless that is configured.
_EVICT = 'policy = "evict"\ngrace = "1s"\nspare_uids = []\n'


@contextmanager
def _host(strays: str, devices: str = "") -> Iterator[Host]:
    """A daemon over two devices with this policy."""
    with Host(_TWO) as host:
        more = f"\n[devices]\n{devices}\n[strays]\n{strays}\n"
        host.config.write_text(host.config.read_text() + more)
        host.start_daemon()
        yield host


def _told(host: Host, pid: int) -> list[str]:
    """What was told of a stray, oldest first."""
    events = host.told("events").parts("events")
    return [
        one.text("sentence")
        for one in events
        if one.text("kind") == "stray" and one.part("data").text("pid") == str(pid)
    ]


def _seen(host: Host, stray: "subprocess.Popen[str]") -> None:
    """Wait until the daemon has seen a stray."""
    host.until(lambda: _told(host, stray.pid))


def _consequence(host: Host, stray: "subprocess.Popen[str]") -> str:
    found = host.processes().get(stray.pid)
    return "" if found is None else found.text("stray_consequence")


def test_report() -> None:
    """It is shown and told, and the whole device is granted beside it; its memory is not."""
    with _host('policy = "report"') as host:
        stray = host.stray("5GiB", 0)
        _seen(host, stray)
        assert "reported, and in nobody's way" in _told(host, stray.pid)[0]
        assert _consequence(host, stray) == "reported"
        refused = host.refused(75, "allocate", "--device", "0", "--memory", "36GiB")
        assert f"used without a lease by pid {stray.pid} of root (gpusched, " in refused
        lease = host.allocate("--device", "0")
        assert host.leases()[lease].parts("devices")[0].flag("exclusive")
        assert stray.poll() is None


def test_avoid() -> None:
    """The whole device is kept back, the rest of its memory is not, and the end frees both."""
    with _host('policy = "avoid"') as host:
        stray = host.stray("5GiB", 0)
        _seen(host, stray)
        assert _consequence(host, stray) == "avoided"
        refused = host.refused(75, "allocate", "--device", "0")
        assert f"used without a lease by pid {stray.pid} of root (gpusched, " in refused
        assert "5 GiB, " in refused
        other = host.allocate("--gpus", "1")
        index = host.devices()[1].text("uuid")
        assert host.leases()[other].parts("devices")[0].text("uuid") == index
        share = host.allocate("--device", "0", "--memory", "30GiB")
        assert host.gpusched("release", share).returncode == 0
        stray.kill()
        stray.wait()
        host.until(lambda: not host.gpusched("allocate", "--device", "0").returncode)
        assert _told(host, stray.pid)[-1].endswith("has left it")


def test_a_policy_of_one_device() -> None:
    """A device may have another policy than the host."""
    with _host("") as host:
        uuid = host.devices()[0].text("uuid")
        own = f'[strays.devices]\n"{uuid}" = "report"\n'
        host.config.write_text(host.config.read_text() + own)
        assert host.daemon is not None
        host.daemon.send_signal(signal.SIGHUP)
        host.until(lambda: "strays.devices" in host.gpusched("events").stdout)
        strays = [host.stray("5GiB", index) for index in (0, 1)]
        for one in strays:
            _seen(host, one)
        assert [_consequence(host, one) for one in strays] == ["reported", "avoided"]
        host.refused(75, "allocate", "--device", "1")
        assert host.allocate("--device", "0")


def test_evict() -> None:
    """It is warned, and sent SIGTERM after the grace; a lease beside it is not touched."""
    with _host(_EVICT) as host:
        worker = host.worker("3GiB", "--device", "0", "--memory", "4GiB")
        stray = host.stray("5GiB", 0)
        assert stray.wait(20) == 0  # as it ends itself on SIGTERM
        host.until(lambda: _told(host, stray.pid)[-1].endswith("has left it"))
        warned, sent, left = _told(host, stray.pid)
        assert "strays are evicted here: it is sent SIGTERM in 1s unless it ends" in warned
        assert sent.endswith("has no lease and is sent SIGTERM, and SIGKILL in 1s")
        assert left == f"process {stray.pid}, which had no lease, has left it"
        assert worker.poll() is None
        host.until(lambda: host.devices()[0].part("memory").measured("used") == 3 * GIB)


def test_one_that_is_warned_and_comes_under_a_lease() -> None:
    """Whoever gets a lease before the time is up stays, and nothing more comes of it."""
    with _host('policy = "evict"\ngrace = "5m"\nspare_uids = []\n') as host:
        stray = host.stray("5GiB", 0)
        host.until(lambda: _consequence(host, stray).startswith("SIGTERM in 4m"))
        lease = host.allocate("--device", "0", "--memory", "6GiB")
        assert host.gpusched("attach", lease, "--pid", str(stray.pid)).returncode == 0
        host.until(lambda: host.processes()[stray.pid].text("lease_id") == lease)
        assert _told(host, stray.pid)[-1].endswith(f"is no stray any more: of {lease}")
        assert _consequence(host, stray) == ""
        assert stray.poll() is None


def test_one_that_does_not_listen() -> None:
    """One that does nothing on SIGTERM is sent SIGKILL after another grace."""
    with _host(_EVICT) as host:
        stray = host.stray("5GiB", 0)
        stray.send_signal(signal.SIGSTOP)
        assert stray.wait(20) == -signal.SIGKILL
        host.until(lambda: _told(host, stray.pid)[-1].endswith("has left it"))
        signals = [one.rpartition(" is sent ")[2] for one in _told(host, stray.pid)[1:3]]
        assert signals == ["SIGTERM, and SIGKILL in 1s", "SIGKILL"]
        host.until(lambda: not host.gpusched("allocate", "--device", "0").returncode)


def test_who_is_not_evicted() -> None:
    """Infrastructure, and what ran when the daemon started, live on while others are evicted."""
    with _host(_EVICT, 'infrastructure = ["dcgm-exporter"]') as host:
        host.stop_daemon()
        before = host.stray("1GiB", 0)
        host.start_daemon()
        host.until(lambda: "it was there when the daemon started" in _consequence(host, before))
        server = _called(host, "dcgm-exporter")
        evicted = host.stray("1GiB", 0)
        assert evicted.wait(20) == 0
        host.until(lambda: _told(host, evicted.pid)[-1].endswith("has left it"))
        assert [one.poll() for one in (before, server)] == [None, None]
        kinds = {pid: one.text("kind") for pid, one in host.processes().items()}
        assert kinds == {
            before.pid: "PROCESS_KIND_STRAY",
            server.pid: "PROCESS_KIND_INFRASTRUCTURE",
        }
        assert _told(host, server.pid) == []


def test_a_dry_run() -> None:
    """Every step is told as what would be, and the process lives on."""
    with _host(_EVICT + 'dry_run = "on"') as host:
        stray = host.stray("5GiB", 0)
        host.until(lambda: any("would be sent SIGKILL" in one for one in _told(host, stray.pid)))
        assert stray.poll() is None
        assert _consequence(host, stray) == "would have been sent SIGKILL"


@pytest.mark.root
def test_root_is_spared_by_default() -> None:
    """Without another word root's processes are avoided and not evicted."""
    with _host('policy = "evict"\ngrace = "1s"') as host:
        stray = host.stray("5GiB", 0)
        _seen(host, stray)
        assert "not evicted: uid 0 is in `strays.spare_uids`" in _told(host, stray.pid)[0]


def _called(host: Host, name: str) -> "subprocess.Popen[str]":
    """Start a stray whose program has another name."""
    program = host.folder / name
    program.symlink_to(GPUSCHED)
    where = f"GPUSCHED_SIMULATOR={host.state / 'simulator'}"
    work = (str(program), "simulated-worker", "--memory", "1GiB", "--devices", "first")
    started = host.start("env", where, *work)
    if first_line(started):
        return started
    raise Failed(f"{name} ended with {started.wait()}")
