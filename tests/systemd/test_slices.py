"""Slices of a real systemd: they carry the program, and outlive what systemd goes through."""

import errno
import statistics

import pytest

from tests.systemd.asking import MAJOR, NODE, Asked, Refusal
from tests.systemd.machine import Machine
from tools.stage import waiting

pytestmark = pytest.mark.nspawn

_OWN = "/gpusched.slice/gpusched-lease_"
_WAIT_SECONDS = 5.0


def _until_empty(machine: Machine, path: str) -> None:
    events = machine.cgroup(path) / "cgroup.events"
    for _ in waiting(_WAIT_SECONDS, f"{path} to be empty"):
        if "populated 0" in events.read_text():
            return


def _inode(machine: Machine, path: str) -> int:
    return machine.cgroup(path).stat().st_ino


def _cgroup_of(machine: Machine, pid: int) -> str:
    return machine.told("sed", "-n", "s/^0:://p", f"/proc/{pid}/cgroup")


def test_a_slice_is_empty_at_first(machine: Machine, agent: Asked) -> None:
    """A lease's slice exists before anybody is in it."""
    path = agent.text("make", "lease-a", 0)
    assert path == f"{_OWN}a.slice"
    assert (machine.cgroup(path) / "cgroup.procs").read_text() == ""
    assert agent.paths() == [path]
    assert machine.told("systemctl", "is-active", "gpusched-lease_a.slice") == "active"


def test_the_slice_carries_the_program(machine: Machine, agent: Asked) -> None:
    """A process is denied as soon as it has entered, and so is who comes later; others are not."""
    first, second, other = (agent.number("opener") for _ in range(3))
    path = agent.text("make", "lease-b", 0)
    agent.tell("deny", path, MAJOR)
    assert agent.number("opens", first, NODE) == errno.ENXIO
    agent.tell("enter", path, [first])
    assert agent.number("opens", first, NODE) == errno.EPERM
    assert agent.number("opens", first, "/dev/null") == 0
    agent.tell("enter", path, [second])
    assert agent.number("opens", second, NODE) == errno.EPERM
    assert agent.number("opens", other, NODE) == errno.ENXIO
    places = [_cgroup_of(machine, one) for one in (first, second)]
    assert all(one.startswith(f"{path}/gpusched-lease_b-") for one in places)


@pytest.mark.parametrize("verb", ["daemon-reload", "daemon-reexec"])
def test_a_slice_outlives_a_new_systemd(machine: Machine, agent: Asked, verb: str) -> None:
    """Cgroup and program stay as they are, empty or not; and the connection is mended."""
    full, empty = agent.text("make", "lease-c", 0), agent.text("make", "lease-d", 0)
    inside, later = agent.number("opener"), agent.number("opener")
    agent.tell("deny", full, MAJOR)
    agent.tell("deny", empty, MAJOR)
    agent.tell("enter", full, [inside])
    before = [_inode(machine, path) for path in (full, empty)]
    machine.told("systemctl", verb)
    assert agent.paths() == [full, empty]
    assert [_inode(machine, path) for path in (full, empty)] == before
    agent.tell("enter", empty, [later])
    assert agent.number("opens", inside, NODE) == errno.EPERM
    assert agent.number("opens", later, NODE) == errno.EPERM


@pytest.mark.parametrize("address", [None, "unix:path=/run/systemd/private"])
def test_what_is_removed_is_gone(machine: Machine, agent: Asked, address: str | None) -> None:
    """A slice is removed with its cgroup, over either way to systemd; twice is no error."""
    agent.tell("use", address, 5)
    path = agent.text("make", "lease-e", 0)
    pid = agent.number("opener")
    agent.tell("enter", path, [pid])
    agent.tell("end", pid)
    folder = machine.cgroup(path)
    _until_empty(machine, path)
    agent.tell("remove", path)
    agent.tell("remove", path)
    assert not folder.exists()
    assert agent.paths() == []


def test_nobody_is_ended_by_a_removal(machine: Machine, agent: Asked) -> None:
    """A slice with processes is neither removed nor made anew, and says how many there are."""
    path = agent.text("make", "lease-f", 0)
    pid = agent.number("opener")
    agent.tell("enter", path, [pid])
    with pytest.raises(Refusal, match="has 1 processes"):
        agent.tell("remove", path)
    with pytest.raises(Refusal, match="has 1 processes"):
        agent.text("make", "lease-f", 0)
    assert _cgroup_of(machine, pid).startswith(path)


def test_what_is_not_ours_is_left_alone(machine: Machine, agent: Asked) -> None:
    """No slice of anybody else's is stopped."""
    with pytest.raises(Refusal, match="not made by gpusched"):
        agent.tell("remove", "/system.slice")
    assert machine.told("systemctl", "is-active", "system.slice") == "active"


def test_one_that_has_ended_is_passed_over(machine: Machine, agent: Asked) -> None:
    """Processes enter although one among them has ended; all having ended is no error."""
    path = agent.text("make", "lease-g", 0)
    gone, first, second = (agent.number("opener") for _ in range(3))
    agent.tell("end", gone)
    agent.tell("enter", path, [gone])
    agent.tell("enter", path, [gone, first])
    agent.tell("enter", path, [gone, second])
    assert all(_cgroup_of(machine, pid).startswith(path) for pid in (first, second))


def test_entering_again_after_all_have_left(machine: Machine, agent: Asked) -> None:
    """When the scope has ended with its processes, who comes next gets one again."""
    path = agent.text("make", "lease-h", 0)
    for _ in range(5):
        pid = agent.number("opener")
        agent.tell("enter", path, [pid])
        assert _cgroup_of(machine, pid).startswith(path)
        agent.tell("end", pid)


def test_a_stopped_slice_is_not_entered(machine: Machine, agent: Asked) -> None:
    """A slice stopped by somebody else would come back without its program: nobody enters it."""
    path = agent.text("make", "lease-o", 0)
    pid = agent.number("opener")
    machine.told("systemctl", "stop", "gpusched-lease_o.slice")
    with pytest.raises(Refusal, match="was stopped by somebody"):
        agent.tell("enter", path, [pid])
    assert "lease_o" not in _cgroup_of(machine, pid)
    assert not machine.cgroup(path).exists()


def test_a_removed_cgroup_is_made_again(machine: Machine, agent: Asked) -> None:
    """A slice whose cgroup was removed by hand has one again when it is made again."""
    path = agent.text("make", "lease-i", 0)
    machine.cgroup(path).rmdir()
    assert agent.text("make", "lease-i", 0) == path
    assert machine.cgroup(path).is_dir()


def test_a_user_keeps_the_limits_of_the_users_slice(machine: Machine, agent: Asked) -> None:
    """While the user is there the slice lies in the user's; it outlives the user's leaving."""
    machine.run(["useradd", "--create-home", "--uid=2001", "holder"])
    machine.told("systemctl", "start", "user@2001.service")
    path = agent.text("make", "lease-j", 2001)
    assert path == "/user.slice/user-2001.slice/user-2001-gpusched_lease_j.slice"
    agent.tell("deny", path, MAJOR)
    pid = agent.number("opener")
    agent.tell("enter", path, [pid])
    machine.told("systemctl", "stop", "user@2001.service")
    assert agent.number("opens", pid, NODE) == errno.EPERM
    assert agent.paths() == [path]
    agent.tell("end", pid)
    _until_empty(machine, path)
    agent.tell("remove", path)
    assert "lease_j" not in machine.told("systemctl", "list-units", "--all", "--plain")


@pytest.mark.parametrize("verb", ["daemon-reload", "daemon-reexec"])
def test_an_empty_slice_of_a_user_stays(machine: Machine, agent: Asked, verb: str) -> None:
    """Nobody has entered yet, and the slice in the user's stays; though systemd sweeps those."""
    machine.run(["useradd", "--create-home", "--uid=2002", "second"])
    machine.told("systemctl", "start", "user@2002.service")
    path = agent.text("make", "lease-n", 2002)
    before = _inode(machine, path)
    machine.told("systemctl", verb)
    machine.told("systemctl", "stop", "user@2002.service")
    assert _inode(machine, path) == before


def test_a_new_bus_is_found(machine: Machine, agent: Asked) -> None:
    """After a restart of the bus the next call works."""
    path = agent.text("make", "lease-k", 0)
    machine.told("systemctl", "restart", "dbus.service")
    assert agent.paths() == [path]


def test_no_bus_is_one_sentence(agent: Asked) -> None:
    """Where there is no bus, or none that answers, the refusal says so in time."""
    agent.tell("use", "unix:path=/nowhere", 0.5)
    with pytest.raises(Refusal, match=r"^systemd is not reached over D-Bus: .*; start dbus"):
        agent.text("make", "lease-l", 0)


def test_a_silent_bus_is_one_sentence(machine: Machine, agent: Asked) -> None:
    """Where the bus does not answer, the refusal comes when patience ends; later it works."""
    agent.tell("use", None, 0.5)
    path = agent.text("make", "lease-m", 0)
    bus = machine.told("systemctl", "show", "--value", "--property=MainPID", "dbus.service")
    machine.told("kill", "-STOP", bus)
    try:
        with pytest.raises(Refusal, match=r"within 0.5 s.*see `systemctl status dbus"):
            agent.paths()
    finally:
        machine.told("kill", "-CONT", bus)
    assert agent.paths() == [path]


def test_what_it_costs(agent: Asked) -> None:
    """Making a slice and entering it take milliseconds; the figures are printed."""
    rounds = agent.rows("timed", 30)
    made, entered, removed, asked = (
        statistics.median(column) for column in zip(*rounds, strict=True)
    )
    print(  # noqa: T201 - to be seen with -s
        f"\nms, median of 30: make {made:.1f}, enter {entered:.1f}, remove {removed:.1f};"
        f" one question over D-Bus {asked:.2f}"
    )
    assert made + entered < 500
