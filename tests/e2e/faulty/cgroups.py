"""What stands in cgroups and under `/proc`, read directly: no word of the daemon's is taken."""

from pathlib import Path

ENTERED = 'echo 0 > "$0/cgroup.procs" && exec "$@"'
"""For `/bin/sh -c`: goes into the cgroup of the first argument, and becomes the others."""


def made(place: Path) -> list[Path]:
    """List the cgroups that the daemon made."""
    try:
        return [one for one in place.iterdir() if one.is_dir()]
    except FileNotFoundError:
        return []


def populated(cgroup: Path) -> bool:
    """Say whether a process lives in *cgroup* or below it."""
    try:
        return "populated 1" in (cgroup / "cgroup.events").read_text()
    except (FileNotFoundError, OSError):
        return False


def alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended and waits for its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
