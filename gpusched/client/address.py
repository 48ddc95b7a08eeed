"""Where the daemon listens, and what it means when nobody does.

Shared by the thin client and gRPC, so that both say the same. No pathlib: the command line's cold
start is measured.
"""

import errno
import os
import socket
import stat
from collections.abc import Mapping

from gpusched.client.errors import DaemonUnreachable

SYSTEM_SOCKET = "/run/gpusched/gpusched.sock"
_SIMULATED = "gpusched-simulated"


def socket_path(named: str | None, environment: Mapping[str, str]) -> str:
    """Say where to reach the daemon: *named*, else GPUSCHED_SOCKET, else where one is.

    Returns:
        A path; where no socket is anywhere, the system's.
    """
    chosen = named or environment.get("GPUSCHED_SOCKET")
    if chosen:
        return chosen.removeprefix("unix:")
    found = [path for path in usual_sockets(environment, os.getuid()) if os.path.exists(path)]  # noqa: PTH110 - pathlib costs a fifth of a start
    return found[0] if found else SYSTEM_SOCKET


def usual_sockets(environment: Mapping[str, str], uid: int, folder: str = "gpusched") -> list[str]:
    """List where a daemon listens unless told otherwise, the system's first.

    Args:
        environment: The caller's.
        uid: The caller's.
        folder: Name of the daemon's folder; a simulated one has its own.
    """
    system = f"/run/{folder}/gpusched.sock"
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime:
        return [system, f"{runtime}/{folder}/gpusched.sock"]
    private = f"/tmp/gpusched-{uid}"  # noqa: S108 - used only when it is the caller's own
    if not _owned(private, uid):
        return [system]
    return [system, f"{private}/{folder}/gpusched.sock"]


def unreachable(path: str, error: OSError) -> DaemonUnreachable:
    """Say what a failed connection means, and what to do next."""
    number = error.errno
    if number in (errno.ENOENT, errno.ENOTDIR):
        return _nobody(f"no daemon: there is no socket at {path}; {_start(path)}")
    if number == errno.ECONNREFUSED and not _may_be_socket(path):
        return _nobody(f"no daemon: what lies at {path} is no socket; {_start(path)}")
    if number == errno.ECONNREFUSED:
        return _nobody(
            f"no daemon answers at {path}: the socket was left behind by one that has ended;"
            " see why with `systemctl status gpusched`, or start it with `gpusched serve`"
        )
    if number in (errno.EACCES, errno.EPERM):
        return DaemonUnreachable(
            f"not permitted: uid {os.getuid()} may not open {path}; ask the administrator to let"
            f" everybody write to the socket and enter its folder (`ls -ld {path}` shows it)"
        )
    if isinstance(error, TimeoutError) or number == errno.EAGAIN:
        return DaemonUnreachable(
            f"the daemon at {path} does not answer in time; see `systemctl status gpusched`, or"
            " try again"
        )
    return DaemonUnreachable(
        f"the daemon at {path} cannot be reached: {error.strerror or error}; name another socket"
        " with --socket or GPUSCHED_SOCKET"
    )


def _nobody(sentence: str) -> DaemonUnreachable:
    error = DaemonUnreachable(sentence)
    error.nobody = True
    return error


def probe(path: str) -> DaemonUnreachable | None:
    """Try to connect, to find out why a call of gRPC failed; None when somebody listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(path)
        except OSError as error:
            return unreachable(path, error)
    return None


def _start(path: str) -> str:
    """Say what to do where there is no socket: a simulated daemon is never chosen silently."""
    for simulated in usual_sockets(os.environ, os.getuid(), _SIMULATED):
        if simulated != path and os.path.exists(simulated):  # noqa: PTH110 - as above
            return f"a simulated one listens: export GPUSCHED_SOCKET={simulated}"
    return (
        "start one with `systemctl start gpusched` or `gpusched serve`, or name another socket"
        " with --socket or GPUSCHED_SOCKET"
    )


def _may_be_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 - as above
    except OSError:
        return True  # it went meanwhile


def _owned(folder: str, uid: int) -> bool:
    """Say whether *folder* is of *uid*: in a folder of someone else, anyone may be listening."""
    try:
        return os.lstat(folder).st_uid == uid
    except OSError:
        return False
