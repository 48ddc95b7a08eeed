"""Without a driver, and without the right to one: the daemon says what is missing."""

import sys
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests import capabilities
from tests.e2e.host import Host

_CONTROL_NODE = Path("/dev/nvidiactl")
_AS_NOBODY = (sys.executable, "-m", "tests.e2e.as_user", "65534")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not capabilities.missing("gpu"), reason="here is a driver"),
]


@pytest.fixture
def real_host() -> Iterator[Host]:
    """A daemon over real devices, of which there are none."""
    was_there = _CONTROL_NODE.exists()
    try:
        with Host(None) as host:
            yield host
    finally:
        # As root, NVIDIA's library makes the node even where there is no driver.
        if not was_there:
            _CONTROL_NODE.unlink(missing_ok=True)


def _assert_degraded(host: Host, *words: str) -> None:
    """The daemon serves, holds nothing, and names what is missing to everybody who asks."""
    status = host.told("status")
    sentence = status.part("driver").text("sentence")
    for word in words:
        assert word in sentence
    assert status.part("driver").text("state") == "DRIVER_STATE_MISSING"
    assert not status.flag("simulated")
    assert not status.parts("devices")
    screen = host.gpusched("status").stdout
    assert sentence in screen
    assert "No devices" in screen
    assert sentence in host.refused(78, "allocate")
    assert "SIMULATED" not in screen


@pytest.mark.skipif(find_library("nvidia-ml") is not None, reason="NVIDIA's library is installed")
def test_without_library_the_daemon_starts_and_says_so(real_host: Host) -> None:
    """No library is a state of the host, not a failure of the daemon."""
    real_host.environment.pop("LD_LIBRARY_PATH", None)
    real_host.start_daemon()
    _assert_degraded(real_host, "libnvidia-ml.so.1")
    assert real_host.stop_daemon() == 0


def test_without_driver_the_daemon_starts_and_says_so(real_host: Host, libnvidia_ml: Path) -> None:
    """NVIDIA's library without a driver is told apart from no library."""
    real_host.environment["LD_LIBRARY_PATH"] = str(libnvidia_ml.parent)
    real_host.start_daemon()
    _assert_degraded(real_host, "driver is not loaded")
    assert real_host.stop_daemon() == 0


def test_a_lease_without_devices_needs_no_driver(real_host: Host) -> None:
    """CPU-only work runs on a host whose driver is missing."""
    real_host.start_daemon()
    assert real_host.gpusched("run", "--gpus", "0", "--", "true").returncode == 0


def test_an_ordinary_user_does_not_serve_real_devices(real_host: Host) -> None:
    """Unprivileged `serve` without --simulate is refused with 77 and what to do instead."""
    done = real_host.run(*_AS_NOBODY, "serve")
    assert done.returncode == 77, done
    assert done.stderr.count("\n") == 1
    assert "--simulate" in done.stderr
    assert not real_host.state.exists()
