"""Finds the cgroup of a unit or a container that is to be attached by its name."""

import asyncio
import re
from typing import Final

from gpusched.core.cgroup_name import Container, containers_named
from gpusched.core.errors import InvalidRequest
from gpusched.core.replies import Refusal
from gpusched.ports import EnforceError, ProcessTable, Units
from gpusched.rpc.status import refuse

# systemd.unit(5): the characters of a unit's name.
_UNIT: Final = re.compile(r"[\w:.\\@-]+\.(service|scope)", re.ASCII)
_NAMED: Final = 5


async def unit_cgroup(units: Units, name: str) -> str:
    """Give the cgroup of a running unit of the system's; `.service` may be left out.

    Raises:
        InvalidRequest: It is no name of a service or scope.
        Refused: There is no such unit, it does not run, or nobody can say.
    """
    unit = name if "." in name else f"{name}.service"
    if not _UNIT.fullmatch(unit):
        why = f"{name!r} is not the name of a service or scope, such as vllm.service"
        raise InvalidRequest("unit", why)
    try:
        path = await units.cgroup(unit)
    except EnforceError as error:
        raise refuse(
            Refusal.WRONG_STATE, f"unit: where {unit} is cannot be told: {error}"
        ) from None
    if path is None:
        sentence = (
            f"unit: no unit {unit} is loaded: it does not run, or there is none; one of a user's"
            " own manager is attached by its cgroup, see `systemctl --user show -p ControlGroup`"
        )
        raise refuse(Refusal.NOT_FOUND, sentence)
    if not path:
        raise refuse(Refusal.WRONG_STATE, f"unit: {unit} does not run; start it first")
    return path


async def container_cgroup(processes: ProcessTable, text: str, uid: int) -> str:
    """Give the cgroup of a running container, by its id, the beginning of it, or its name.

    Names of Docker's and Podman's containers are known to them alone.

    Args:
        processes: Knows the cgroups of this host.
        text: What the caller calls it.
        uid: Whose lease it is for.

    Raises:
        InvalidRequest: Nothing was named, or ids of several containers begin so.
        Refused: There is none.
    """
    if not text:
        raise InvalidRequest("container", "is empty: name a container by its id")
    # In a thread, all of it: whoever has a part of the tree can make as many as he likes.
    found = await asyncio.to_thread(lambda: containers_named(text, processes.cgroups(), uid))
    if not found:
        sentence = (
            f"container: none that runs is called {text} or has an id that begins so; see"
            " `docker ps` or `podman ps`"
        )
        raise refuse(Refusal.NOT_FOUND, sentence)
    if len(found) > 1:
        raise InvalidRequest("container", f"{text!r} is several: {_listed(found)}")
    return found[0].cgroup


def _listed(found: tuple[Container, ...]) -> str:
    more = ", …" if len(found) > _NAMED else ""
    return ", ".join(f"{one.name[:12]} in {one.cgroup}" for one in found[:_NAMED]) + more
