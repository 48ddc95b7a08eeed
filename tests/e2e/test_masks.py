"""A lease's mask is a fact in the kernel: whatever its processes do, other devices are denied."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.host import Host
from tests.e2e.opener import (
    DENIED,
    NO_DRIVER,
    OPENED,
    RUN,
    Opener,
    as_user,
    gpu_nodes,
)

ONLY_2 = [DENIED, DENIED, NO_DRIVER, DENIED]
pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon over four devices, as the issue has it."""
    with Host("4xA100-80GB") as host:
        host.start_daemon()
        yield host


@pytest.fixture
def nodes(host: Host) -> list[Path]:
    """The nodes of the four."""
    return gpu_nodes(host.state, 0, 1, 2, 3)


@pytest.fixture
def leased(host: Host) -> Iterator[Opener]:
    """A process under a lease of device 2."""
    with Opener(host.environment, *RUN, "--device", "2", "--") as opener:
        yield opener


def test_only_the_leased_device_opens(leased: Opener, nodes: list[Path], host: Host) -> None:
    """In a lease of device 2 of 4 the others are EPERM; all that is no GPU opens as before."""
    assert leased.opens(*nodes) == ONLY_2
    assert leased.opens(Path("/dev/null"), Path("/dev/zero")) == [OPENED, OPENED]
    assert leased.opens(host.state / "simulator/dev/nvidiactl") == [NO_DRIVER]


def test_outside_of_a_lease_nothing_changes(leased: Opener, nodes: list[Path], host: Host) -> None:
    """A process without a lease opens every device, while one is leased and after."""
    with Opener(host.environment) as outside:
        assert outside.opens(*nodes) == [NO_DRIVER] * 4
        assert leased.opens(nodes[0]) == [DENIED]
        assert outside.opens(*nodes) == [NO_DRIVER] * 4


def test_a_daemonised_process_keeps_the_mask(leased: Opener, nodes: list[Path]) -> None:
    """Two forks and a session of its own lead out of the process tree, not out of the mask."""
    detached = int(leased.does("detach"))
    assert detached != leased.pid
    assert leased.opens(*nodes) == ONLY_2


def test_a_node_of_ones_own_is_denied_as_well(leased: Opener, host: Host, tmp_path: Path) -> None:
    """A process of a lease cannot make the node of a device that it does not have."""
    assert leased.does("mknod", 60, tmp_path / "copy0") == DENIED
    assert leased.does("mknod", 60, tmp_path / "copy2") == OPENED
    with Opener(host.environment) as outside:
        assert outside.does("mknod", 60, tmp_path / "copy0") == OPENED


@pytest.mark.namespaces
@pytest.mark.parametrize("prefix", [(), as_user(1001)], ids=["root", "user"])
def test_a_user_namespace_does_not_help(
    host: Host, nodes: list[Path], prefix: tuple[str, ...]
) -> None:
    """Who is root of a new user namespace is not let through by the mask."""
    with Opener(host.environment, *prefix, *RUN, "--device", "2", "--") as leased:
        assert leased.does("newuser") == "0"
        assert leased.opens(*nodes) == ONLY_2


def test_two_users_have_a_device_each(host: Host, nodes: list[Path]) -> None:
    """Each of two users opens his own device, and not the other's."""
    words = (*RUN, "--device")
    with (
        Opener(host.environment, *as_user(1001), *words, "1", "--") as one,
        Opener(host.environment, *as_user(1002), *words, "3", "--") as two,
    ):
        assert one.opens(*nodes) == [DENIED, NO_DRIVER, DENIED, DENIED]
        assert two.opens(*nodes) == [DENIED, DENIED, DENIED, NO_DRIVER]
        holders = {lease.part("holder").number("uid") for lease in host.leases().values()}
        assert holders == {1001, 1002}


def test_a_lease_of_no_device_opens_none(host: Host, nodes: list[Path]) -> None:
    """CPU-only work is denied every device, the control node too."""
    control = host.state / "simulator/dev/nvidiactl"
    with Opener(host.environment, *RUN, "--gpus", "0", "--") as leased:
        assert leased.opens(*nodes, control) == [DENIED] * 5
        assert leased.opens(Path("/dev/null")) == [OPENED]


def test_a_denied_open_is_told(leased: Opener, nodes: list[Path], host: Host) -> None:
    """`gpusched events` names the process, the device and the lease of a denied open."""
    (lease,) = host.leases()
    assert leased.opens(nodes[3]) == [DENIED]

    def told() -> bool:
        denials = [
            one.words("data")
            for one in host.told("events").parts("events")
            if one.text("kind") == "denied_open" and one.text("id") == lease
        ]
        return {"nodes": str(nodes[3]), "pid": str(leased.pid), "count": "1"} in denials

    host.until(told)
    assert f"{lease}  process {leased.pid} was denied {nodes[3]}" in host.gpusched("events").stdout


def test_required_is_granted_where_the_kernel_holds(host: Host, nodes: list[Path]) -> None:
    """With `--enforce required` the command runs under a mask, and the lease says who holds it."""
    with Opener(host.environment, *RUN, "--enforce", "required", "--device", "2", "--") as leased:
        assert leased.opens(*nodes) == ONLY_2
        (lease,) = host.leases().values()
        level = lease.part("enforcement").text("level")
        assert level == "ENFORCEMENT_LEVEL_DEVICE_PROGRAM"
        assert "kernel" in host.gpusched("leases").stdout


def test_an_advisory_lease_has_a_cgroup_and_no_mask(host: Host, nodes: list[Path]) -> None:
    """With `--enforce advisory` nothing is denied; its end is still that of its last process."""
    with Opener(host.environment, *RUN, "--enforce", "advisory", "--device", "2", "--") as leased:
        assert leased.opens(*nodes) == [NO_DRIVER] * 4
        ((name, lease),) = host.leases().items()
        assert leased.does("cgroup") == lease.part("holder").text("cgroup")
        enforcement = lease.part("enforcement")
        assert enforcement.text("level") == "ENFORCEMENT_LEVEL_ADVISORY"
        assert "the request asked for an advisory mask" in enforcement.text("sentence")
        leased.does("detach")
        assert name in host.leases()
    host.until(lambda: host.ended(name) == "END_REASON_EMPTY")
