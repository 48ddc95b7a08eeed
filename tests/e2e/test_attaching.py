"""What runs already comes under a lease: moved with its descendants, or masked where it is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.client.document import Document
from tests.e2e.host import Host
from tests.e2e.opener import (
    DENIED,
    NO_DRIVER,
    OPENED,
    Opener,
    as_user,
    cgroup,
    gpu_nodes,
    path_of,
    starting_in,
)
from tools.stage import GPUSCHED

_USER = 1001
_OTHER = 1002
ONLY_2 = [DENIED, DENIED, NO_DRIVER, DENIED]
pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon over four devices."""
    with Host("4xA100-80GB") as host:
        host.start_daemon()
        yield host


@pytest.fixture
def nodes(host: Host) -> list[Path]:
    """The nodes of the four."""
    return gpu_nodes(host.state, 0, 1, 2, 3)


@pytest.fixture
def session() -> Iterator[Path]:
    """A cgroup as a session has it: nobody looks after its processes."""
    with cgroup() as folder:
        yield folder


@pytest.fixture
def service() -> Iterator[Path]:
    """A cgroup as a service manager makes it for a unit."""
    with cgroup() as slice_, cgroup("foo.service", slice_) as folder:
        yield folder


def _attach(host: Host, lease: str, *words: str) -> tuple[Document, str]:
    """Attach; give the answer's `attachment` and what the user is warned of."""
    done = host.gpusched("attach", lease, *words, "--json")
    assert done.returncode == 0, done
    return Document(json.loads(done.stdout)).part("attachment"), done.stderr


def _pids(attachment: Document, name: str = "processes") -> set[int]:
    return {one.number("pid") for one in attachment.parts(name)}


def _cgroup_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1].partition("::")[2]


def test_a_running_process_is_moved_with_its_descendants(
    host: Host, nodes: list[Path], session: Path
) -> None:
    """All of a session process's tree is in the lease's cgroup, and opens no other device."""
    lease = host.allocate("--device", "2")
    with Opener(host.environment, *starting_in(session)) as opener:
        assert opener.opens(*nodes) == [NO_DRIVER] * 4
        children = {int(opener.does("child")) for _ in range(3)}
        attachment, warned = _attach(host, lease, "--pid", str(opener.pid))
        assert attachment.text("mode") == "ATTACH_MODE_MOVED"
        assert _pids(attachment) == {opener.pid, *children}
        assert not attachment.parts("escaped")
        assert not warned
        place = host.leases()[lease].part("holder").text("cgroup")
        assert (
            {_cgroup_of(one) for one in (opener.pid, *children)} == {place} != {path_of(session)}
        )
        assert opener.opens(*nodes) == ONLY_2
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")


def test_what_was_open_before_is_reported(host: Host, nodes: list[Path], session: Path) -> None:
    """A descriptor of another device stays open: who attaches is told of it, and of no other."""
    lease = host.allocate("--device", "2")
    with Opener(host.environment, *starting_in(session)) as opener:
        for one in (nodes[0], nodes[2], Path("/dev/null")):
            assert opener.does("hold", one) == OPENED
        attachment, warned = _attach(host, lease, "--pid", str(opener.pid))
        (outside,) = attachment.parts("open_outside_mask")
        assert outside.part("process").number("pid") == opener.pid
        assert outside.text("path") == str(nodes[0])
        assert outside.text("device_uuid") == host.devices()[0].text("uuid")
        sentence = f"{nodes[0]} was open in process {opener.pid} before the mask, and stays open"
        assert warned.count("\n") == 1
        assert sentence in warned


@pytest.mark.parametrize(
    "uids", [(0, 0, 0), (_OTHER, _USER, _USER), (_USER, _OTHER, _USER), (_USER, _USER, 0)]
)
def test_anothers_process_is_not_attached(
    host: Host, nodes: list[Path], session: Path, uids: tuple[int, int, int]
) -> None:
    """Real, effective and saved uid must be the caller's own; else nothing is moved or masked."""
    lease = _allocated_by(host, _USER)
    with Opener(host.environment, *starting_in(session)) as opener:
        opener.does("uids", *uids)
        words = ("attach", lease, "--pid", str(opener.pid))
        done = host.run(*as_user(_USER), str(GPUSCHED), *words)
        assert done.returncode == 77, done
        assert f"process {opener.pid} has uids {', '.join(map(str, uids))}" in done.stderr
        assert opener.does("cgroup") == path_of(session)
        assert opener.opens(*nodes) == [NO_DRIVER] * 4
    assert host.leases()[lease].text("state") == "LEASE_STATE_RESERVED"


def test_a_descendant_of_another_user_is_not_taken_along(
    host: Host, nodes: list[Path], session: Path
) -> None:
    """A tree in which one process is somebody else's stays as it is, all of it."""
    lease = _allocated_by(host, _USER)
    with Opener(host.environment, *starting_in(session)) as opener:
        child = int(opener.does("child"))
        opener.does("uids", _USER, _USER, _USER)
        words = ("attach", lease, "--pid", str(opener.pid))
        done = host.run(*as_user(_USER), str(GPUSCHED), *words)
        assert done.returncode == 77, done
        assert f"process {child} has uids 0, 0, 0" in done.stderr
        assert {_cgroup_of(one) for one in (opener.pid, child)} == {path_of(session)}
        assert opener.opens(*nodes) == [NO_DRIVER] * 4


def _allocated_by(host: Host, uid: int) -> str:
    """Reserve device 2 as an ordinary user."""
    words = ("allocate", "--device", "2", "--json")
    done = host.run(*as_user(uid), str(GPUSCHED), *words)
    return Document(json.loads(done.stdout)).part("lease").text("id")


@pytest.mark.parametrize("by", ["pid", "cgroup"])
def test_a_service_is_masked_where_it_is(
    host: Host, nodes: list[Path], service: Path, by: str
) -> None:
    """All of a service is denied the other devices; nobody is moved, nor ended at the end."""
    lease = host.allocate("--device", "2")
    place = path_of(service)
    with (
        Opener(host.environment, *starting_in(service)) as main,
        Opener(host.environment, *starting_in(service)) as other,
        Opener(host.environment, *starting_in(service.parent)) as beside,
    ):
        target = {"pid": str(main.pid), "cgroup": place}[by]
        attachment, _ = _attach(host, lease, f"--{by}", target)
        assert attachment.text("mode") == "ATTACH_MODE_IN_PLACE"
        assert _pids(attachment) == {main.pid, other.pid}
        assert main.does("cgroup") == other.does("cgroup") == place
        assert main.opens(*nodes) == other.opens(*nodes) == ONLY_2
        assert beside.opens(*nodes) == [NO_DRIVER] * 4
        holder = host.leases()[lease].part("holder")
        assert (holder.text("cgroup"), holder.flag("in_place")) == (place, True)

        refused = host.refused(64, "release", lease)
        assert f"is in use by {main.pid}, {other.pid}" in refused
        assert "takes its mask off and leaves them alone" in refused
        assert host.gpusched("release", lease, "--kill", "--grace", "0s").returncode == 0
        host.until(lambda: host.ended(lease) == "END_REASON_RELEASED")
        assert main.opens(*nodes) == other.opens(*nodes) == [NO_DRIVER] * 4


def test_a_cgroup_by_another_spelling(host: Host, nodes: list[Path], service: Path) -> None:
    """It is the same one: two leases there have one mask, the union, and end with the service."""
    place = path_of(service)
    spelled = (place, f"{place}/", place.replace("/", "//"), f"/.{place}")
    with Opener(host.environment, *starting_in(service)) as main:
        for number, path in enumerate(spelled):
            lease = host.allocate("--device", str(number))
            _attach(host, lease, "--cgroup", path)
            assert host.leases()[lease].part("holder").text("cgroup") == place
        assert main.opens(*nodes) == [NO_DRIVER] * 4
        (first, *_) = host.leases()
        assert "'/./' is not the path of" in host.refused(64, "attach", first, "--cgroup", "/./")
    host.until(lambda: not host.leases())


def test_a_lease_in_place_ends_with_the_service(
    host: Host, nodes: list[Path], service: Path
) -> None:
    """The last process of the service ends the lease, and its cgroup is left to its owner."""
    lease = host.allocate("--device", "2")
    with (
        Opener(host.environment, *starting_in(service)) as main,
        Opener(host.environment, *starting_in(service)) as other,
    ):
        _attach(host, lease, "--pid", str(main.pid))
        main.kill()
        assert other.opens(*nodes) == ONLY_2
        assert host.leases()[lease].text("state") == "LEASE_STATE_ACTIVE"
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    assert service.is_dir()
    with Opener(host.environment, *starting_in(service)) as next_one:
        assert next_one.opens(*nodes) == [NO_DRIVER] * 4


def test_the_root_and_the_daemons_own_cgroup_are_refused(host: Host) -> None:
    """No mask binds everybody, or the daemon."""
    lease = host.allocate("--device", "2")
    host.refused(64, "attach", lease, "--cgroup", "/")
    host.refused(64, "attach", lease, "--cgroup", _cgroup_of(host.pid))


def test_the_daemon_is_not_attached(host: Host) -> None:
    """It could not read the other devices, and the lease would not end: that waits for another."""
    lease = host.allocate("--device", "2")
    before = _cgroup_of(host.pid)
    said = host.refused(64, "attach", lease, "--pid", str(host.pid))
    assert f"process {host.pid} is the daemon itself" in said
    assert _cgroup_of(host.pid) == before
    assert host.leases()[lease].text("state") == "LEASE_STATE_RESERVED"


def test_one_process_with_two_leases_has_the_union(
    host: Host, nodes: list[Path], session: Path
) -> None:
    """With two leases a process opens the devices of both; the end of one takes its away."""
    first, second = (host.allocate("--device", one) for one in "13")
    with Opener(host.environment, *starting_in(session)) as opener:
        _attach(host, first, "--pid", str(opener.pid))
        assert opener.opens(*nodes) == [DENIED, NO_DRIVER, DENIED, DENIED]
        _attach(host, second, "--pid", str(opener.pid))
        assert opener.opens(*nodes) == [DENIED, NO_DRIVER, DENIED, NO_DRIVER]
        assert host.gpusched("revoke", first, "--reason", "tried").returncode == 0
        host.until(lambda: opener.opens(*nodes) == [DENIED, DENIED, DENIED, NO_DRIVER])
    assert host.ended(first) == "END_REASON_REVOKED"
    host.until(lambda: host.ended(second) == "END_REASON_EMPTY")
