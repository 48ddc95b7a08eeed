"""Checks of what the daemon leans on, and of the daemon: systemd, the state's disk, the clock."""

import re
from datetime import UTC, datetime
from typing import Final

from gpusched.doctor.finding import Remark, Remarks, fail, ok, warn
from gpusched.doctor.mounts import mount_above, mounts_of
from gpusched.doctor.situation import Situation

_SYSTEMD: Final = 244
_SYSTEMD_SAYS: Final = re.compile(r"^systemd (\d+)")
"""Its number alone: what follows is the package's, such as `(252-46.el9_5.2)`."""

_LITTLE: Final = 512 << 20
_TOO_LITTLE: Final = 64 << 20
_FEW_FILES: Final = 100
_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "lustre"})
_BRIEF: Final = frozenset({"tmpfs", "ramfs"})
_SECOND: Final = 10**9
_JUMP: Final = _SECOND // 2
_FUTURE: Final = 60 * _SECOND
_PLAUSIBLE: Final = 1_704_067_200 * _SECOND  # 2024-01-01: before gpusched


def check_daemon(situation: Situation) -> Remarks:
    """See whether a daemon answers, and whether it is of this version."""
    answer = situation.daemon
    if answer.reason:
        seen, _, advice = answer.reason.partition("; ")
        make = warn if answer.absent else fail
        yield make(seen, advice or "see `journalctl -u gpusched`")
        return
    kind = "; its devices are SIMULATED" if answer.simulated else ""
    kind = "; without root, leases only ask" if answer.advisory and not kind else kind
    yield ok(f"answers, version {answer.version}{kind}; masks: {answer.level or 'unknown'}")
    if answer.version != situation.version:
        yield warn(
            f"the daemon is {answer.version}, this command is {situation.version}",
            "`sudo gpusched setup` puts one version in place of both; leases stay",
        )


def check_systemd(situation: Situation) -> Remarks:
    """See whether systemd is there and is process 1."""
    host = situation.host
    output = host.run("systemctl", "--version")
    found = _SYSTEMD_SAYS.match(output.text) if output is not None else None
    first = (host.read("/proc/1/comm") or "").strip() or "unknown"
    if not host.exists("/run/systemd/system"):
        what = f"{found[1]} is installed, and process 1 is {first}" if found else "not installed"
        yield warn(
            f"{what}: leases get cgroups that gpusched makes itself",
            "nothing for the daemon; `gpusched setup` needs systemd: start `gpusched serve` by"
            " what starts services here",
        )
    elif found is not None and int(found[1]) < _SYSTEMD:
        yield warn(
            f"{found[1]} is process 1; below {_SYSTEMD} it ignores some protections of the unit",
            "nothing; the unit works",
        )
    else:
        yield ok(f"{found[1] if found else 'of unknown version'}, process 1")


def check_state(situation: Situation) -> Remarks:
    """See whether the ledger has a place: enough room, and a file system that keeps its word."""
    path = _existing(situation)
    place = situation.state if path == situation.state else f"{situation.state} (to be made)"
    mount = mount_above(mounts_of(situation.host), situation.host.real_path(path))
    kind = mount.kind if mount is not None else "unknown"
    space = situation.host.space(path)
    room = f"{space.free >> 20} MiB free"
    if mount is not None and "ro" in mount.options and "rw" not in mount.options:
        yield fail(f"{place}: {mount.point} is read-only", "name another with --state-dir")
    elif kind in _REMOTE:
        yield fail(
            f"{place} is on {kind}: SQLite's log needs a file system of this host",
            "name another with --state-dir",
        )
    elif space.free < _TOO_LITTLE or space.files == 0:
        what = "no file can be made" if space.files == 0 else room
        yield fail(f"{place}: {what}; the daemon ends when it cannot write", "make room")
    elif space.free < _LITTLE or (space.files is not None and space.files < _FEW_FILES):
        yield warn(f"{place}: {room}, {_files(space.files)}", "make room")
    elif kind in _BRIEF:
        yield warn(
            f"{place} is on {kind}: leases and history are lost with a reboot",
            "name another with --state-dir where the history matters",
        )
    else:
        yield ok(f"{place}: {room} on {kind}")


def _files(left: int | None) -> str:
    return "files without number" if left is None else f"{left} files"


def _existing(situation: Situation) -> str:
    """Give the state directory, or the nearest folder above it that is there."""
    path = situation.state
    while path != "/" and not situation.host.exists(path):
        path = path.rpartition("/")[0] or "/"
    return path


def check_clock(situation: Situation) -> Remarks:
    """See whether wall time can be believed; deadlines do not depend on it, times shown do."""
    wrong = _standing(situation)
    if wrong is not None:
        yield wrong
    known = situation.probes.synchronised()
    if known is None:
        yield warn("the kernel does not tell whether it is synchronised", "see `timedatectl`")
    elif not known:
        yield warn(
            "not synchronised: times shown may be wrong; deadlines run on another clock",
            "`sudo timedatectl set-ntp true`, or start chrony",
        )
    elif wrong is None:
        yield ok("synchronised; no jump while this looked")


def _standing(situation: Situation) -> Remark | None:
    now = situation.probes.clock()
    began = situation.began
    jump = (now.wall - now.instant) - (began.wall - began.instant)
    if abs(jump) > _JUMP:
        return warn(
            f"wall time jumped by {jump / _SECOND:+.1f} s while this looked",
            "see who sets it: `journalctl -u chronyd -u systemd-timesyncd`",
        )
    if now.wall < _PLAUSIBLE:
        return warn(f"stands at {_date(now.wall)}", "set it: `sudo timedatectl set-ntp true`")
    written = situation.host.changed_at(f"{situation.state}/ledger.db")
    if written is not None and written > now.wall + _FUTURE:
        return warn(
            f"stands at {_date(now.wall)}, and the ledger was written at {_date(written)}: it has"
            " jumped back",
            "nothing for leases: their clocks are the kernel's; history looks out of order",
        )
    return None


def _date(wall: int) -> str:
    return f"{datetime.fromtimestamp(wall // _SECOND, UTC):%Y-%m-%d %H:%M} UTC"
