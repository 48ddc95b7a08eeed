"""Checks of the container engines: which there are, and whether they know CDI.

Those of docker and podman are `core/cdi`'s; CDI is in containerd since 1.7 when switched on, since
2.0 by itself, and in nerdctl since 2.1 (release notes of each).
"""

import json
import tomllib
from typing import Final

from gpusched.core.cdi import (
    DOCKER_SWITCH,
    DOCKER_WITH_CDI,
    DOCKER_WITH_CDI_ON,
    DOCKER_WITH_GPUS,
    PODMAN_WITH_CDI,
)
from gpusched.doctor.execution import Output
from gpusched.doctor.finding import Remark, Remarks, fail, ok, warn
from gpusched.doctor.situation import Situation
from gpusched.doctor.versions import Version, version_in, written

ENGINES: Final = ("docker", "podman", "containerd", "nerdctl")

_CONTAINERD_SWITCHED: Final = (1, 7)
_CONTAINERD_BY_ITSELF: Final = (2,)
_NERDCTL: Final = (2, 1)
_SLOW: Final = 10.0
_WITHOUT: Final = (
    "until then name each node: `gpusched env LEASE --format docker` prints the flags"
)


def check_docker(situation: Situation) -> Remarks:
    """Ask docker's daemon for its version and where it looks for CDI files."""
    output = situation.host.run("docker", "info", "--format", "{{json .}}", patience=_SLOW)
    if output is None:
        yield ok("not installed")
        return
    info = _object(output.text)
    if "host" in info and "store" in info:
        yield ok("the command is podman's")
        return
    said = _text(info, "ServerVersion")
    version = version_in(said)
    if version is None:
        yield _no_docker(situation, info, output)
        return
    folders = info.get("CDISpecDirs")
    yield _docker(said, version, with_cdi=isinstance(folders, list) and bool(folders))


def _docker(said: str, version: Version, *, with_cdi: bool) -> Remark:
    if version < DOCKER_WITH_GPUS:
        return fail(f"{said} is older than 19.03, which brought GPUs", "install a newer docker")
    if with_cdi:
        return ok(f"{said}, with CDI: `docker run --device gpusched.io/lease=LEASE`")
    if version < DOCKER_WITH_CDI:
        return warn(f"{said} does not know CDI", f"docker 28.2 or newer does; {_WITHOUT}")
    default = (
        "it is off until switched on" if version < DOCKER_WITH_CDI_ON else "it is switched off"
    )
    return warn(
        f"{said} knows CDI, and {default}",
        f"put {DOCKER_SWITCH} into /etc/docker/daemon.json and restart docker; {_WITHOUT}",
    )


def _no_docker(situation: Situation, info: dict[str, object], output: Output) -> Remark:
    client = info.get("ClientInfo")
    version = _text(client, "Version") if isinstance(client, dict) else ""
    command = f"the command is {version or 'there'}"
    if "permission denied" in output.errors.lower() and situation.host.uid != 0:
        return warn(
            f"{command}; its daemon is not visible to this user",
            "look as root: `sudo gpusched doctor`",
        )
    return warn(
        f"{command}, and its daemon does not answer: {output.last_words}",
        "start it where containers are wanted: `systemctl start docker`",
    )


def check_podman(situation: Situation) -> Remarks:
    """See whether podman knows CDI."""
    use = ": `podman run --device gpusched.io/lease=LEASE`"
    yield from _by_version(situation, "podman", PODMAN_WITH_CDI, "podman 4.1 or newer does", use)


def check_containerd(situation: Situation) -> Remarks:
    """See whether containerd's plugin for Kubernetes knows CDI and has it on."""
    version, problem = _version(situation, "containerd")
    if version is None:
        yield problem
    elif version < _CONTAINERD_SWITCHED:
        yield warn(f"{written(version)} does not know CDI", f"containerd 2.0 does; {_WITHOUT}")
    elif _enabled(situation, default=version >= _CONTAINERD_BY_ITSELF):
        yield ok(f"{written(version)}, with CDI")
    else:
        yield warn(
            f"{written(version)} knows CDI, and its CRI plugin has it off",
            "set `enable_cdi = true` for the CRI plugin in /etc/containerd/config.toml",
        )


def check_nerdctl(situation: Situation) -> Remarks:
    """See whether nerdctl knows CDI."""
    yield from _by_version(situation, "nerdctl", _NERDCTL, "nerdctl 2.1 does")


def _by_version(
    situation: Situation, name: str, since: Version, newer: str, use: str = ""
) -> Remarks:
    """Judge an engine that knows CDI from a version on, without a switch."""
    version, problem = _version(situation, name)
    if version is None:
        yield problem
    elif version < since:
        yield warn(f"{written(version)} does not know CDI", f"{newer}; {_WITHOUT}")
    else:
        yield ok(f"{written(version)}, with CDI{use}")


def _version(situation: Situation, name: str) -> tuple[Version | None, Remark]:
    output = situation.host.run(name, "--version")
    if output is None:
        return None, ok("not installed")
    version = version_in(output.text) if output.code == 0 else None
    return version, warn(
        f"is there and does not work for this user: {output.last_words}",
        f"see what `{name} --version` says; install it anew where it says so to root, too",
    )


def _enabled(situation: Situation, *, default: bool) -> bool:
    """Read `enable_cdi` of the CRI plugin, whose name changed with containerd 2."""
    try:
        config = tomllib.loads(situation.host.read("/etc/containerd/config.toml") or "")
    except tomllib.TOMLDecodeError:
        return default
    plugins = config.get("plugins")
    for part in plugins.values() if isinstance(plugins, dict) else ():
        if isinstance(part, dict) and isinstance(part.get("enable_cdi"), bool):
            return bool(part["enable_cdi"])
    return default


def _object(text: str) -> dict[str, object]:
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
