"""Where things lie unless somebody says otherwise: socket, state, configuration file."""

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

SYSTEM_SOCKET = Path("/run/gpusched/gpusched.sock")
SYSTEM_STATE = Path("/var/lib/gpusched")
SYSTEM_CONFIG = Path("/etc/gpusched/gpusched.toml")


def instance_name(state: Path, *, simulated: bool) -> str:
    """Give the word with which the cgroups of a daemon begin, by its state directory.

    Two daemons on one host, a simulator beside the service, must not take each other's leases
    for their own. Nor must one be taken for another that names the same folder by a link.
    """
    folder, system = map(os.path.realpath, (state, SYSTEM_STATE))
    if folder == system and not simulated:
        return "gpusched"
    kind = "gpusched_sim" if simulated else "gpusched"
    return f"{kind}_{sha256(os.fsencode(folder)).hexdigest()[:8]}"


def runtime_directory(environment: Mapping[str, str], uid: int) -> Path:
    """Give the folder for sockets of an ordinary user."""
    folder = environment.get("XDG_RUNTIME_DIR")
    return Path(folder) if folder else Path(f"/tmp/gpusched-{uid}")  # noqa: S108 - its owner is checked where it is used


def default_socket(environment: Mapping[str, str], uid: int, *, simulated: bool) -> Path:
    """Say where a daemon of *uid* listens; a simulated one has a folder of its own."""
    name = "gpusched-simulated" if simulated else "gpusched"
    if uid == 0:
        return SYSTEM_SOCKET.parent.with_name(name) / "gpusched.sock"
    return runtime_directory(environment, uid) / name / "gpusched.sock"


def default_state(environment: Mapping[str, str], uid: int, *, simulated: bool) -> Path:
    """Say where a daemon of *uid* keeps its ledger; a simulated one has a folder of its own."""
    name = "gpusched-simulated" if simulated else "gpusched"
    if uid == 0:
        return SYSTEM_STATE.with_name(name)
    folder = environment.get("XDG_STATE_HOME")
    home = Path(folder) if folder else Path("~").expanduser() / ".local" / "state"
    return home / name
