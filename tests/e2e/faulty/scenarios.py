"""What is done while the daemon may die: each verb once, from a host at rest to a host at rest.

A scenario prepares what it needs, arms the fuse, and does one thing until nothing of it goes on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from tests.e2e.cgroups import pids
from tests.e2e.faulty.cgroups import made
from tests.e2e.faulty.ordeal import Ordeal

Scenario: TypeAlias = Callable[[Ordeal], None]

STUBBORN = "trap '' TERM; while :; do sleep 600; done"
_TREE = "sleep 600 & sleep 600 & wait"


def allocate_and_attach_the_caller(ordeal: Ordeal) -> None:
    """A process allocates with itself as the first one."""
    caller = ordeal.caller()
    ordeal.arm()
    caller.allocate()
    ordeal.still()


def run_a_command(ordeal: Ordeal) -> None:
    """`gpusched run` allocates, and becomes the command."""
    ordeal.arm()
    ordeal.run_command("sleep", "600")
    ordeal.until(ordeal.leases, "the command to have its lease")
    ordeal.still()


def attach_a_running_tree(ordeal: Ordeal) -> None:
    """A lease is reserved, then a process with children is moved into it."""
    pid = ordeal.sleeper(script=_TREE)
    ordeal.arm()
    ordeal.attach(ordeal.allocate(), pid)
    ordeal.still()


def attach_in_place(ordeal: Ordeal) -> None:
    """A service's process is attached, and stays where it is."""
    pid = ordeal.sleeper(where=ordeal.foreign)
    lease = ordeal.allocate()
    ordeal.arm()
    ordeal.attach(lease, pid)
    ordeal.still()


def attach_a_second_lease_in_place(ordeal: Ordeal) -> None:
    """A service with a lease gets another one: one program for both."""
    pid = _attached(ordeal, where=ordeal.foreign)[1]
    lease = ordeal.allocate()
    ordeal.arm()
    ordeal.attach(lease, pid)
    ordeal.still()


def let_a_second_process_join(ordeal: Ordeal) -> None:
    """A lease with a process gets another one."""
    lease, _ = _attached(ordeal)
    pid = ordeal.sleeper(script=_TREE)
    ordeal.arm()
    ordeal.attach(lease, pid)
    ordeal.still()


def renew(ordeal: Ordeal) -> None:
    """The keepalive of a lease starts anew."""
    lease, _ = _attached(ordeal, keepalive="60s")
    ordeal.arm()
    ordeal.call("Leases/Renew", {"lease_id": lease})
    ordeal.still()


def release_what_nobody_uses(ordeal: Ordeal) -> None:
    """A reserved lease is given back."""
    lease = ordeal.allocate()
    ordeal.arm()
    ordeal.call("Leases/Release", {"lease_id": lease})
    ordeal.ended(lease)


def release_by_the_holder(ordeal: Ordeal) -> None:
    """A process gives back its own lease, and lives on in its cgroup."""
    caller = ordeal.caller()
    lease = caller.allocate()
    ordeal.arm()
    caller.call("Leases/Release", {"lease_id": lease})
    ordeal.ended(lease)


def release_in_place_by_the_holder(ordeal: Ordeal) -> None:
    """A service's process gives back its own lease, and is unmasked."""
    caller = ordeal.caller(where=ordeal.foreign)
    lease = caller.allocate()
    ordeal.arm()
    caller.call("Leases/Release", {"lease_id": lease})
    ordeal.ended(lease)


def release_with_kill(ordeal: Ordeal) -> None:
    """Processes that ignore SIGTERM are killed, and the cgroup goes."""
    lease, _ = _attached(ordeal, script=STUBBORN)
    ordeal.arm()
    ordeal.call("Leases/Release", {"lease_id": lease, "kill": True, "grace": "0s"})
    ordeal.ended(lease)


def revoke(ordeal: Ordeal) -> None:
    """An operator ends a lease; its process ends at SIGTERM."""
    lease, _ = _attached(ordeal)
    ordeal.arm()
    ordeal.call("Leases/Revoke", {"lease_id": lease, "reason": "the card is needed"})
    ordeal.ended(lease)


def revoke_in_place(ordeal: Ordeal) -> None:
    """An operator ends a service's lease; its process is told, unmasked, and lives on."""
    lease, _ = _attached(ordeal, where=ordeal.foreign, script=STUBBORN)
    ordeal.arm()
    wish = {"lease_id": lease, "reason": "the card is needed", "signal_in_place": True}
    ordeal.call("Leases/Revoke", wish)
    ordeal.ended(lease)


def revoke_one_of_two_in_place(ordeal: Ordeal) -> None:
    """A service loses one of two leases: its program allows less."""
    _, pid = _attached(ordeal, where=ordeal.foreign)
    lease = ordeal.allocate()
    ordeal.attach(lease, pid)
    ordeal.arm()
    ordeal.call("Leases/Revoke", {"lease_id": lease, "reason": "the card is needed"})
    ordeal.still()


def reach_the_time_limit(ordeal: Ordeal) -> None:
    """A lease ends by the clock; its process ignores SIGTERM and is killed."""
    lease, _ = _attached(ordeal, script=STUBBORN, time_limit="1s")
    ordeal.arm()
    ordeal.ended(lease)


def let_the_last_process_end(ordeal: Ordeal) -> None:
    """A lease ends with its process."""
    lease, pid = _attached(ordeal)
    ordeal.arm()
    ordeal.end_process(pid)
    ordeal.ended(lease)


def let_the_last_process_in_place_end(ordeal: Ordeal) -> None:
    """A service's lease ends with its process."""
    lease, pid = _attached(ordeal, where=ordeal.foreign)
    ordeal.arm()
    ordeal.end_process(pid)
    ordeal.ended(lease)


def cancel(ordeal: Ordeal) -> None:
    """A request is withdrawn that has been granted."""
    lease = ordeal.allocate(request_id="unwanted")
    ordeal.arm()
    ordeal.call("Leases/Cancel", {"request_id": "unwanted"})
    ordeal.ended(lease)


def leave_memory_behind(ordeal: Ordeal) -> None:
    """A lease ends, and memory of its device does not come back."""
    lease, pid, _ = _with_ghost(ordeal)
    ordeal.arm()
    ordeal.end_process(pid)
    ordeal.ended(lease)


def forget(ordeal: Ordeal) -> None:
    """An operator gives up memory that did not come back."""
    lease, pid, device = _with_ghost(ordeal)
    ordeal.end_process(pid)
    ordeal.ended(lease)
    ordeal.arm()
    ordeal.call("Devices/Forget", {"device": device})
    ordeal.still()


def turn_the_guard_on_and_off(ordeal: Ordeal) -> None:
    """The guard is turned on beside a lease, and off again."""
    _attached(ordeal)
    ordeal.arm()
    ordeal.call("Node/SetGuard", {"on": True})
    ordeal.call("Node/SetGuard", {"on": False})
    ordeal.still()


def attach_under_the_guard(ordeal: Ordeal) -> None:
    """A lease is attached, and let go, while the guard is on."""
    ordeal.call("Node/SetGuard", {"on": True})
    pid = ordeal.sleeper()
    ordeal.arm()
    lease = ordeal.allocate()
    ordeal.attach(lease, pid)
    ordeal.end_process(pid)
    ordeal.ended(lease)


def remove_the_cgroup_by_hand(ordeal: Ordeal) -> None:
    """Somebody takes the process out of a lease's cgroup and removes it."""
    lease, pid = _attached(ordeal)
    (cgroup,) = made(ordeal.place)
    ordeal.arm()
    (ordeal.work / "cgroup.procs").write_text(str(pid))
    assert not pids(cgroup)
    ordeal.remove(cgroup)
    ordeal.ended(lease)


SCENARIOS: tuple[Scenario, ...] = (
    allocate_and_attach_the_caller,
    run_a_command,
    attach_a_running_tree,
    attach_in_place,
    attach_a_second_lease_in_place,
    let_a_second_process_join,
    renew,
    release_what_nobody_uses,
    release_by_the_holder,
    release_in_place_by_the_holder,
    release_with_kill,
    revoke,
    revoke_in_place,
    revoke_one_of_two_in_place,
    reach_the_time_limit,
    let_the_last_process_end,
    let_the_last_process_in_place_end,
    cancel,
    leave_memory_behind,
    forget,
    turn_the_guard_on_and_off,
    attach_under_the_guard,
    remove_the_cgroup_by_hand,
)


def _attached(
    ordeal: Ordeal, *, where: Path | None = None, script: str = "exec sleep 600", **wish: object
) -> tuple[str, int]:
    """Allocate, and attach a new process; give lease and pid."""
    pid = ordeal.sleeper(where=where, script=script)
    lease = ordeal.allocate(**wish)
    ordeal.attach(lease, pid)
    return lease, pid


def _with_ghost(ordeal: Ordeal) -> tuple[str, int, str]:
    """Attach, and let memory of the device belong to nobody; give lease, pid and device."""
    lease, pid = _attached(ordeal)
    (device,) = ordeal.leases()[lease].parts("devices")
    ordeal.control(f'[[device]]\nindex = {device.number("index")}\nghost = "20GiB"\n')
    return lease, pid, device.text("uuid")
