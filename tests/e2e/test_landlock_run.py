"""Without root: the daemon holds no mask, and who runs under a lease holds it himself by Landlock.

The nodes of an ordinary user's simulator are plain files, so an open that is allowed succeeds; one
that is denied is EACCES, by the same kernel and the same rule as for a device node.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.launch import landlock
from tests.e2e.host import Host
from tests.e2e.opener import DENIED_BY_ITSELF, OPENED, RUN, Opener, as_user, gpu_nodes
from tools.stage import GPUSCHED

_USER = 1001
_ONLY_2 = [DENIED_BY_ITSELF, DENIED_BY_ITSELF, OPENED, DENIED_BY_ITSELF]
_NOT_ROOT = "the daemon runs without root"
pytestmark = pytest.mark.root


class UsersHost(Host):
    """A host whose daemon an ordinary user runs."""

    def __init__(self, simulate: str) -> None:
        super().__init__(simulate)
        os.chown(self.folder, _USER, _USER)
        self._serve = [*as_user(_USER), *self._serve]


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """The daemon of an ordinary user over four devices."""
    if why := landlock.available():
        pytest.skip(why)
    with UsersHost("4xA100-80GB") as host:
        host.start_daemon()
        yield host


@pytest.fixture
def nodes(host: Host) -> list[Path]:
    """The nodes of the four."""
    return gpu_nodes(host.state, 0, 1, 2, 3)


def _leased(host: Host, *words: str) -> Opener:
    return Opener(host.environment, *as_user(_USER), *RUN, "--device", "2", *words, "--")


def test_the_command_denies_itself_the_other_devices(host: Host, nodes: list[Path]) -> None:
    """Under a lease of device 2 of 4 the others are EACCES, and all that is no GPU opens."""
    with _leased(host) as leased:
        assert leased.opens(*nodes) == _ONLY_2
        control = host.state / "simulator/dev/nvidiactl"
        assert leased.opens(control, Path("/dev/null")) == [OPENED, OPENED]
    with Opener(host.environment, *as_user(_USER)) as outside:
        assert outside.opens(*nodes) == [OPENED] * 4


@pytest.mark.namespaces
def test_a_daemonised_child_is_denied_as_well(host: Host, nodes: list[Path]) -> None:
    """Landlock goes with every child, and no new user namespace takes it off."""
    with _leased(host) as leased:
        leased.does("detach")
        assert leased.opens(*nodes) == _ONLY_2
        assert leased.does("newuser") == "0"
        assert leased.opens(*nodes) == _ONLY_2


def test_it_is_said_who_holds_the_mask(host: Host) -> None:
    """The grant, the list of leases and the status say Landlock, and why it is not the daemon."""
    with _leased(host):
        (lease,) = host.leases().values()
        assert lease.part("enforcement").text("level") == "ENFORCEMENT_LEVEL_LANDLOCK"
        assert "landlock" in host.gpusched("leases").stdout.lower()
        assert _NOT_ROOT in host.gpusched("status").stdout
        name = lease.text("id")
        grant = host.told("env", name)
        assert grant.part("enforcement").text("level") == "ENFORCEMENT_LEVEL_LANDLOCK"


def test_required_is_held_by_the_command_itself(host: Host, nodes: list[Path]) -> None:
    """With `--enforce required` an ordinary user's command runs, for Landlock holds its mask."""
    with _leased(host, "--enforce", "required") as leased:
        assert leased.opens(*nodes) == _ONLY_2


def test_an_advisory_lease_denies_nothing(host: Host, nodes: list[Path]) -> None:
    """With `--enforce advisory` the command is not confined."""
    with _leased(host, "--enforce", "advisory") as leased:
        assert leased.opens(*nodes) == [OPENED] * 4
        (lease,) = host.leases().values()
        assert lease.part("enforcement").text("level") == "ENFORCEMENT_LEVEL_ADVISORY"


def test_required_is_refused_with_the_reason(host: Host) -> None:
    """Who does not confine himself, and asks for a mask that holds, is told why there is none."""
    reserve = ("allocate", "--enforce", "required")
    done = host.run(*as_user(_USER), str(GPUSCHED), *reserve)
    assert done.returncode == 78, done
    assert _NOT_ROOT in done.stderr
    # root is not confined: it would lose what setuid programs give.
    assert _NOT_ROOT in host.refused(78, "run", "--enforce", "required", "--", "true")
    assert not host.leases()


def test_the_guard_is_refused_with_the_reason(host: Host) -> None:
    """A daemon without root cannot guard the host, and says so."""
    done = host.run(*as_user(_USER), str(GPUSCHED), "guard", "on")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
