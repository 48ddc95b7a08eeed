"""Looks up what matters of a process, or of a whole cgroup, that is to be attached."""

import asyncio

from gpusched.core.cgroup_kind import stays
from gpusched.core.errors import InvalidRequest
from gpusched.core.ids import ProcessId
from gpusched.core.replies import Refusal
from gpusched.core.standing import Standing
from gpusched.ports import ProcessTable
from gpusched.rpc.status import refuse


async def standing_of(processes: ProcessTable, process: ProcessId) -> Standing:
    """Say where *process* is, and whose it and what goes with it are.

    What goes with it are its descendants, or its whole cgroup where that is masked in place.

    Raises:
        Refused: It has ended.
    """
    # Not in a thread: it costs less than the way there, and every grant comes through here.
    found = processes.standing(process)
    if found is None:
        raise refuse(Refusal.NOT_FOUND, f"process {process.pid} has ended")
    return await cgroup_standing(processes, found.cgroup) if stays(found.cgroup) else found


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
