"""Looks up what matters of a process, or of a whole cgroup, that is to be attached."""

import asyncio
from typing import Final

from gpusched.core.attachable import foreign
from gpusched.core.cgroup_kind import stays
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import Caller, ProcessId
from gpusched.core.replies import Refusal
from gpusched.core.standing import Standing
from gpusched.ports import ProcessTable, TooMany
from gpusched.rpc.status import refuse

_FIRST: Final = 1
_AT_ONCE: Final = 64
"""Threads of a process and its descendants, up to which looking at all keeps nobody waiting."""


async def standing_of(processes: ProcessTable, process: ProcessId) -> Standing:
    """Say where *process* is, and whose it and what goes with it are.

    What goes with it are its descendants, or its whole cgroup where that is masked in place.

    Raises:
        Refused: It has ended.
    """
    try:
        # Not in a thread: it costs less than the way there, and every grant comes through here.
        found = processes.standing(process, _AT_ONCE)
    except TooMany:
        found = await asyncio.to_thread(processes.standing, process)
    if found is None:
        raise refuse(Refusal.NOT_FOUND, f"process {process.pid} has ended")
    return await cgroup_standing(processes, found.cgroup) if stays(found.cgroup) else found


def nobody_elses(standing: Standing, daemon: int, caller: Caller) -> Standing:
    """Give *standing*, which is not that of the daemon or of the whole host.

    Raises:
        Refused: The daemon is what is attached: it could not read the other devices, and the lease
            would not end. Or it is the first process, from which all others descend.
    """
    pids = {one.process.pid for one in standing.tree}
    why = ""
    if daemon in pids:
        why = f"process {daemon} is the daemon itself; start it apart from what is attached"
    elif _FIRST in pids and not stays(standing.cgroup):
        why = "from process 1 all others descend; attach the one that needs the device"
    if why and foreign(caller, standing) is None:
        raise refuse(Refusal.WRONG_STATE, why)
    return standing


async def cgroup_standing(processes: ProcessTable, path: str) -> Standing:
    """Say whose the processes of the cgroup *path* are; it may be spelled with `//`, `/./`.

    Raises:
        InvalidRequest: It is no path of a cgroup.
        Refused: There is no such cgroup, or nothing runs in it.
    """
    parts = [one for one in path.split("/") if one not in ("", ".")]
    if not path.startswith("/") or ".." in parts or not parts:
        why = f"{path!r} is not the path of a cgroup, such as /system.slice/x.service"
        raise InvalidRequest("cgroup", why)
    # One name for one cgroup: by two it would get two masks, of which the later one counts.
    path = "/".join(("", *parts))
    try:
        found = await asyncio.to_thread(processes.population, path)
    except FileNotFoundError:
        raise refuse(Refusal.NOT_FOUND, f"cgroup: there is no cgroup {path}") from None
    except OSError as error:
        sentence = f"cgroup: who runs in {path} cannot be told: {error.strerror}"
        raise refuse(Refusal.WRONG_STATE, sentence) from None
    if not found.tree:
        raise refuse(Refusal.NOT_FOUND, f"cgroup: nothing runs in {path}")
    return found
