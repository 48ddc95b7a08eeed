"""The flags of `docker run` and `podman run` that give a container a lease.

By CDI where the engine can: then it gets the leased nodes and the driver's files, and is put under
the lease by itself. Else the nodes one by one, which the engine then knows: a reload of systemd
does not take them away, as it does those that NVIDIA's older runtime adds behind its back.
"""

import shlex

from gpusched.cli.command import UsageError
from gpusched.cli.container_engine import Engine
from gpusched.client.document import Document
from gpusched.core.cdi import (
    DOCKER_SWITCH,
    DOCKER_WITH_CDI,
    DOCKER_WITH_CDI_ON,
    DOCKER_WITH_GPUS,
    PODMAN_WITH_CDI,
    inside,
)


class Flags:
    """What to type.

    Attributes:
        words: The flags.
        remarks: What the user should know beside, a sentence each.
    """

    __slots__ = ("remarks", "words")

    def __init__(self, words: list[str], remarks: list[str]) -> None:
        self.words = words
        self.remarks = remarks

    @property
    def text(self) -> str:
        """The flags as a shell reads them."""
        return shlex.join(self.words)


def flags_of(grant: Document, engine: Engine | None) -> Flags:
    """Give the flags for *engine*; None: there is none here, the best that the grant has.

    Args:
        grant: A message `Grant`.
        engine: As it says that it is.

    Raises:
        UsageError: It is too old.
    """
    name = grant.text("cdi_name")
    why_not = "" if engine is None else _without_cdi(engine)
    in_use = _in_use(grant)
    if name and not why_not:
        return Flags(["--device", name], in_use)
    bare = engine is not None and not engine.nvidia and "control_nodes" in grant
    files = "; the driver's files must be in the image" if bare else ""
    lease = grant.part("lease").text("id")
    under = f", and the container is under the lease only after `gpusched attach {lease}"
    remark = (
        f"{why_not or 'the lease has no name for engines'}: the nodes are named one by one"
        f"{'' if in_use else f'{under} --container C`'}{files}"
    )
    words = _one_by_one(grant, nvidia=engine is not None and engine.nvidia)
    return Flags(words, [remark, *in_use])


def _in_use(grant: Document) -> list[str]:
    """Say that no container can come under a lease that has a cgroup already."""
    lease = grant.part("lease")
    cgroup = lease.part("holder").text("cgroup")
    if not cgroup:
        return []
    here = f"{lease.text('id')} is in use in {cgroup}"
    return [f"{here}, and no container comes under it beside that: allocate another lease for one"]


def _without_cdi(engine: Engine) -> str:
    """Say why the engine does not take CDI names; empty: it does."""
    if engine.name == "podman":
        return "" if engine.version >= PODMAN_WITH_CDI else f"Podman {engine.text} is before 4.1"
    refuse_too_old(engine)
    if engine.version < DOCKER_WITH_CDI:
        return f"Docker {engine.text} is before 25.0"
    on = engine.version >= DOCKER_WITH_CDI_ON if engine.folders is None else bool(engine.folders)
    if on:
        return ""
    return (
        f"Docker {engine.text} has CDI switched off: {DOCKER_SWITCH} in"
        " /etc/docker/daemon.json turns it on"
    )


def refuse_too_old(engine: Engine | None) -> None:
    """Refuse an engine that can be given no lease at all.

    Raises:
        UsageError: It is too old.
    """
    if engine is not None and engine.name == "docker" and engine.version < DOCKER_WITH_GPUS:
        raise UsageError(
            f"Docker {engine.text} gives no GPUs to containers; 19.03 is the first version that"
            " does, and 28.2 the first that takes a lease by its name"
        )


def _one_by_one(grant: Document, *, nvidia: bool) -> list[str]:
    nodes = [one.text("path") for part in grant.parts("devices") for one in part.parts("nodes")]
    nodes += [one.text("path") for one in grant.parts("control_nodes")]
    words = [f"--device={_there(path)}" for path in dict.fromkeys(nodes)]
    if nvidia and nodes:
        # Brings the driver's files. The quotes inside keep Docker from parting the list.
        uuids = ",".join(one.text("uuid") for one in grant.parts("devices"))
        words += ["--gpus", f'"device={uuids}"']
    for name, value in grant.words("container_environment").items():
        words += ["-e", f"{name}={value}"]
    return words


def _there(path: str) -> str:
    return path if inside(path) == path else f"{path}:{inside(path)}"
