"""The guard: a process without any lease opens no device, until an operator says otherwise.

No test guards the whole machine: either what a daemon makes for its leases, or a part of the tree
that the test has made.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import capabilities
from tests.e2e.host import Host
from tests.e2e.opener import (
    DENIED,
    NO_DRIVER,
    RUN,
    Opener,
    as_user,
    cgroup,
    gpu_nodes,
    path_of,
    starting_in,
)
from tools.stage import GPUSCHED

_ALL = [NO_DRIVER] * 4
_NONE = [DENIED] * 4
pytestmark = pytest.mark.root


class GuardedHost(Host):
    """A host of which a part is to be guarded; its daemon may live in a cgroup of its own.

    Args:
        home: The daemon's cgroup; None: the test's.
    """

    def __init__(self, home: Path | None = None) -> None:
        super().__init__("4xA100-80GB")
        if home is not None:
            self._serve = [*starting_in(home), *self._serve]

    def guard_below(self, folder: Path) -> None:
        """Let the daemon, when it starts, guard *folder*."""
        text = self.config.read_text()
        self.config.write_text(f'{text}\n[enforcement]\nguard_top = "{path_of(folder)}"\n')

    @property
    def guarded(self) -> bool:
        """Whether the daemon says that the guard is on."""
        return self.told("guard", "status").flag("on")


@pytest.fixture
def top() -> Iterator[Path]:
    """The part of the tree that is guarded."""
    with cgroup() as folder:
        yield folder


@pytest.fixture
def guarded(top: Path) -> Iterator[GuardedHost]:
    """A daemon inside of what it guards, with the guard on."""
    with cgroup("daemon", top) as home, GuardedHost(home) as host:
        host.guard_below(top)
        host.start_daemon()
        assert not host.guarded
        assert host.gpusched("guard", "on").returncode == 0
        yield host


@pytest.fixture
def nodes(guarded: GuardedHost) -> list[Path]:
    """The nodes of the four."""
    return gpu_nodes(guarded.state, 0, 1, 2, 3)


@pytest.fixture
def stranger(top: Path, guarded: GuardedHost) -> Iterator[Opener]:
    """A process without a lease, in a cgroup of its own."""
    with (
        cgroup("stranger", top) as folder,
        Opener(guarded.environment, *starting_in(folder)) as opener,
    ):
        yield opener


def test_leases_of_before_and_after_pass_the_guard(tmp_path: Path) -> None:
    """With the guard on, a command under a lease opens its device and nobody else opens any."""
    root, copy = capabilities.cgroup2_mount(), tmp_path / "by-another-name"
    assert root is not None
    with GuardedHost() as host:
        nodes = gpu_nodes(host.state, 0, 1, 2, 3)
        os.mknod(copy, 0o666 | stat.S_IFCHR, os.makedev(60, 0))
        host.start_daemon()
        with Opener(host.environment, *RUN, "--device", "2", "--") as before:
            place = root / before.does("cgroup").lstrip("/")
            host.stop_daemon()
            host.guard_below(place.parent)
            host.start_daemon()
            # In the guarded folder, and in the cgroup of no lease.
            with Opener(host.environment, *starting_in(place.parent)) as stranger:
                assert stranger.opens(*nodes) == _ALL
                assert host.gpusched("guard", "on").returncode == 0
                assert stranger.opens(*nodes) == _NONE
                assert before.opens(*nodes) == [DENIED, DENIED, NO_DRIVER, DENIED]
                assert stranger.opens(copy) == [DENIED]
                with Opener(host.environment, *RUN, "--device", "1", "--") as after:
                    assert after.opens(*nodes) == [DENIED, NO_DRIVER, DENIED, DENIED]
                levels = [one.part("enforcement").text("level") for one in host.leases().values()]
                assert set(levels) == {"ENFORCEMENT_LEVEL_GUARD"}
                assert host.gpusched("guard", "off").returncode == 0
                assert stranger.opens(*nodes) == _ALL
                assert before.opens(*nodes) == [DENIED, DENIED, NO_DRIVER, DENIED]


def test_a_service_opens_devices_while_it_has_a_lease(
    top: Path, guarded: GuardedHost, nodes: list[Path], stranger: Opener
) -> None:
    """The guard lets a service through from the attach of a lease to its end."""
    lease = guarded.allocate("--device", "2")
    with (
        cgroup("foo.service", top) as service,
        Opener(guarded.environment, *starting_in(service)) as worker,
    ):
        assert worker.opens(*nodes) == _NONE
        guarded.told("attach", lease, "--pid", str(worker.pid))
        assert worker.opens(*nodes) == [DENIED, DENIED, NO_DRIVER, DENIED]
        assert stranger.opens(*nodes) == _NONE
        assert guarded.gpusched("revoke", lease, "--reason", "tried").returncode == 0
        guarded.until(lambda: worker.opens(*nodes) == _NONE)
    assert guarded.gpusched("status").stdout.count("guard: on") == 1


def test_the_daemon_itself_is_let_through(
    top: Path, guarded: GuardedHost, nodes: list[Path], stranger: Opener
) -> None:
    """A daemon inside of what it guards can still read the devices."""
    with Opener(guarded.environment, *starting_in(top / "daemon")) as beside_it:
        assert beside_it.opens(*nodes) == _ALL
        assert stranger.opens(*nodes) == _NONE


def test_the_guard_holds_without_the_daemon_and_goes_without_it(
    top: Path, guarded: GuardedHost, nodes: list[Path], stranger: Opener
) -> None:
    """After `kill -9` of the daemon nothing is let through; `guard off` ends that at once."""
    assert stranger.opens(*nodes) == _NONE
    guarded.kill_daemon()
    assert stranger.opens(*nodes) == _NONE
    done = guarded.gpusched("guard", "off", "--below", str(top))
    assert stranger.opens(*nodes) == _ALL
    assert done.returncode == 0, done
    assert f"the guard is taken off {top}" in done.stdout + done.stderr


def test_a_daemon_that_comes_back_finds_the_guard_on(
    guarded: GuardedHost, nodes: list[Path], stranger: Opener
) -> None:
    """The guard is a fact in the kernel: a restart of the daemon changes nothing of it."""
    guarded.kill_daemon()
    guarded.start_daemon()
    guarded.until(lambda: guarded.guarded)
    assert stranger.opens(*nodes) == _NONE
    assert guarded.gpusched("guard", "off").returncode == 0
    assert stranger.opens(*nodes) == _ALL
    assert not guarded.guarded


def test_only_an_administrator_turns_it(guarded: GuardedHost, stranger: Opener) -> None:
    """An ordinary user can neither take the guard off nor put it on."""
    node = gpu_nodes(guarded.state, 0)[0]
    for action in ("off", "on"):
        done = guarded.run(*as_user(1001), str(GPUSCHED), "guard", action)
        assert done.returncode == 77, done
    assert stranger.opens(node) == [DENIED]
