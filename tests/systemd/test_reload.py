"""The problem of `systemctl daemon-reload`, and that a lease does not have it.

"Failed to initialize NVML: Unknown Error" is what happens where a runtime opens devices behind
systemd's back: systemd remembers its own list only, and a reload puts that in force again. An
engine that was given the nodes by CDI has them in that list; and gpusched takes nothing off and
adds nothing, it narrows by a program of its own beside systemd's.
"""

import errno
from collections.abc import Iterator

import pytest

from tests.systemd.asking import MAJOR, NODE, Asked
from tests.systemd.machine import Machine

pytestmark = pytest.mark.nspawn

_OTHER = f"{NODE}-other"
_SCOPE = "box.scope"
_PATH = f"/system.slice/{_SCOPE}"
_RELOADS = {
    "daemon-reload": ["systemctl", "daemon-reload"],
    "daemon-reexec": ["systemctl", "daemon-reexec"],
    "set-property": ["systemctl", "set-property", "--runtime", _SCOPE, "TasksMax=1000"],
}


@pytest.fixture
def other(machine: Machine, agent: Asked) -> Iterator[str]:
    """A second device's node; the scope is gone at the end."""
    agent.tell("node", _OTHER, MAJOR, 1)
    yield _OTHER
    machine.run(["systemctl", "stop", _SCOPE])
    machine.told("rm", "-f", _OTHER)


def boxed(machine: Machine, agent: Asked, *allowed: str) -> int:
    """Put a process into a scope that may open these nodes only, as an engine has it made."""
    pid = agent.number("opener")
    start = ["busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"]
    start += ["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))"]
    listed = [word for path in allowed for word in (path, "rw")]
    start += [_SCOPE, "fail", "3", "PIDs", "au", "1", str(pid), "DevicePolicy", "s", "strict"]
    start += ["DeviceAllow", "a(ss)", str(len(allowed)), *listed, "0"]
    machine.told(*start)
    for _ in range(100):
        if machine.told("systemctl", "is-active", _SCOPE) == "active":
            break
    return pid


@pytest.mark.usefixtures("other")
def test_what_was_widened_is_lost(machine: Machine, agent: Asked) -> None:
    """The problem: a device that was opened behind systemd's back is closed by a reload."""
    pid = boxed(machine, agent)
    assert agent.number("opens", pid, NODE) == errno.EPERM
    agent.tell("widen", _PATH)
    assert agent.number("opens", pid, NODE) == errno.ENXIO
    machine.told(*_RELOADS["daemon-reload"])
    assert agent.number("opens", pid, NODE) == errno.EPERM


@pytest.mark.parametrize("kind", list(_RELOADS))
def test_a_leased_scope_keeps_its_device(
    machine: Machine, agent: Asked, other: str, kind: str
) -> None:
    """A scope whose engine knows its nodes, masked in place: its own device stays open through
    everything, and what is not leased stays denied.
    """
    pid = boxed(machine, agent, NODE, other)
    assert agent.number("opens", pid, other) == errno.ENXIO
    agent.tell("deny", _PATH, MAJOR, 1)
    for _ in range(3):
        assert agent.number("opens", pid, NODE) == errno.ENXIO
        assert agent.number("opens", pid, other) == errno.EPERM
        machine.told(*_RELOADS[kind])
