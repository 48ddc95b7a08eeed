"""The machine itself: what every test in it relies on."""

from pathlib import Path

import pytest

from tests.systemd.machine import SITE, WHEELHOUSE, Machine

pytestmark = pytest.mark.nspawn


def test_it_boots(machine: Machine) -> None:
    """A real systemd is the first process, and its bus answers."""
    assert machine.told("cat", "/proc/1/comm") == "systemd"
    asked = "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
    answer = machine.told("busctl", "get-property", *asked.split(), "Version")
    assert answer.startswith('s "')


def test_it_has_one_cgroup_tree(machine: Machine) -> None:
    """It sees the unified hierarchy, with its own root."""
    assert machine.told("stat", "-f", "-c", "%T", "/sys/fs/cgroup") == "cgroup2fs"
    assert machine.told("tail", "-1", "/proc/1/cgroup") == "0::/init.scope"


def test_it_has_the_dependencies(machine: Machine) -> None:
    """Its own Python imports what gpusched needs, and finds the wheels to install it."""
    assert machine.told("python3", "-c", "import grpc, dbus_fast; print('both')") == "both"
    assert "structlog" in machine.told("ls", WHEELHOUSE)
    assert "grpc" in machine.told("ls", SITE)


def test_it_has_no_network(machine: Machine) -> None:
    """Nothing that is tested in it can depend on a network."""
    assert machine.told("sh", "-c", "grep -c : /proc/net/dev") == "1"


def test_a_file_is_put(machine: Machine, tmp_path: Path) -> None:
    """A file of the host appears where it is put, with the mode asked for."""
    source = tmp_path / "word"
    source.write_bytes(b"\x00said")
    machine.put(source, "/opt/new/word", 0o640)
    assert machine.told("stat", "-c", "%a %s", "/opt/new/word") == "640 5"


def test_a_user_runs_a_command(machine: Machine) -> None:
    """A command can be run by an ordinary user, and its code is told."""
    machine.told("useradd", "--create-home", "visitor")
    assert machine.run(["id", "-un"], user="visitor").stdout == "visitor\n"
    assert machine.run(["false"], user="visitor").returncode == 1


def test_a_command_sees_the_machine_only(machine: Machine) -> None:
    """Where a command begins is the machine's root, not the host's."""
    assert machine.told("pwd") == "/"
    assert machine.told("stat", "-c", "%i %d", ".") == machine.told("stat", "-c", "%i %d", "/")


def test_what_is_written_stays() -> None:
    """A machine that is booted again has the files of before, and another has not."""
    machine = Machine()
    try:
        machine.boot()
        assert machine.run(["test", "-e", "/opt/new"]).returncode == 1
        machine.told("touch", "/opt/kept")
        machine.stop()
        machine.boot()
        assert machine.told("ls", "/opt") == "kept"
        groups = machine.cgroup("/").parent
    finally:
        machine.close()
    assert not groups.exists()
