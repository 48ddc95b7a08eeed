"""The host-wide guard: one device program high in the tree, and the cgroups that it lets through.

Exists so that a process without a lease cannot open the governed nodes. The kernel is the only
record of whether it is on: it is found by its name, also after a restart or by `guard off` with
the daemon dead. Programs of others are never touched. No lease and no policy enter. Blocking.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.admitted import Admitted
from gpusched.adapters.cgroup.guard_program import NAME, encode
from gpusched.core.mask import Governed
from gpusched.ports import EnforceError, GuardState


class CgroupGuard:
    """The guard of one cgroup and all below it. Calls are made one after the other."""

    def __init__(self, top: Path, own: Path, infrastructure: Iterable[Path] = ()) -> None:
        """Touch nothing yet; a guard that is on stays on.

        Args:
            top: Folder of the cgroup to guard: the root of the hierarchy, on a host.
            own: Folder of the daemon's own cgroup, which is admitted.
            infrastructure: Folders of other cgroups that are admitted, as soon as they are there.
        """
        self._top = top
        self._own = own
        self._infrastructure = tuple(infrastructure)
        self._lock = threading.Lock()
        self._leases: set[int] = set()
        self._standing: dict[Path, int] = {}
        self._admitted: Admitted | None = None

    def on(self, governed: Governed, admitted: Iterable[int]) -> None:
        """Let only admitted cgroups, and those below them, open governed nodes.

        Also where the guard is on already, perhaps for another daemon or for other nodes: then
        no open falls between the two. What is open stays open.

        Args:
            governed: Its `ranges` are guarded. `control` is not: it gives no device, and without
                it every tool would report a missing driver instead of a denied device.
            admitted: Inodes of the cgroups of all leases; with those that `admit` has named, no
                others stay admitted.

        Raises:
            EnforceError: What was there before is there still.
        """
        with self._lock, _told("switched on"), _opened(self._top) as top:
            self._standing = self._standing_now()
            wanted = {*admitted, *self._leases, *self._standing.values()}
            with _guards(top) as old:
                cgroups = _admitted_by(old) or Admitted.make()
                self._keep(cgroups)
                for inode in wanted:
                    cgroups.add(inode)
                _put(top, encode(governed.ranges, cgroups.descriptor), old)
                cgroups.deny_others(deny=True)
            for inode in cgroups.all() - wanted:
                cgroups.remove(inode)

    def off(self) -> None:
        """Deny nothing any more; that it is off already is no error.

        Raises:
            EnforceError: It is on still.
        """
        with self._lock, _told("switched off"):
            detach_guard(self._top)
            self._keep(None)

    def admit(self, inode: int) -> None:
        """Let a lease's cgroup through, now or as soon as the guard is on.

        Args:
            inode: Of its folder, which lies at most `LEVELS` deep. The root cannot be admitted.

        Raises:
            EnforceError: It is not admitted.
        """
        with self._lock, _told("told of a lease"):
            cgroups = self._cgroups()
            if cgroups is not None:
                cgroups.add(inode)
            self._leases.add(inode)

    def dismiss(self, inode: int) -> None:
        """Let a lease's cgroup through no longer; one that never was is no error.

        Raises:
            EnforceError: It is admitted still.
        """
        with self._lock, _told("told of the end of a lease"):
            self._leases.discard(inode)
            cgroups = self._cgroups()
            if cgroups is not None and inode not in self._standing.values():
                cgroups.remove(inode)

    def renew(self) -> None:
        """Admit infrastructure that was started since, in a cgroup that is another than before.

        Raises:
            EnforceError: One of them is not admitted.
        """
        with self._lock, _told("told of the infrastructure"):
            cgroups, before = self._cgroups(), self._standing
            if cgroups is None:
                return
            self._standing = self._standing_now()
            for inode in {*self._standing.values()} - {*before.values()}:
                cgroups.add(inode)
            for inode in {*before.values()} - {*self._standing.values()} - self._leases:
                cgroups.remove(inode)

    def status(self) -> GuardState:
        """Ask the kernel whether the guard is on, and how many opens it has denied.

        Raises:
            EnforceError: It cannot be found out.
        """
        with self._lock, _told("looked at"):
            if not self._top.is_dir():
                return GuardState(on=False)
            with _opened(self._top) as top, _guards(top) as found:
                return _state(found)

    def close(self) -> None:
        """Let go of what is open; a guard that is on stays on. Idempotent."""
        with self._lock:
            self._keep(None)

    def _standing_now(self) -> dict[Path, int]:
        """Give the inodes that are admitted without a lease, as far as they are there."""
        if self._own == self._top:
            raise EnforceError(
                f"the guard cannot be switched on: the daemon itself is in {self._top}, which the"
                " guard is to cover, and would lose the devices; start it as a service or in a"
                " cgroup of its own"
            )
        found: dict[Path, int] = {}
        for folder in (self._own, *self._infrastructure):
            # One above the top would admit everybody.
            if self._top in folder.parents:
                with contextlib.suppress(FileNotFoundError):
                    found[folder] = folder.stat().st_ino
        return found

    def _cgroups(self) -> Admitted | None:
        """Give those of the guard that is on, also of one that an earlier daemon left."""
        if self._admitted is None and self._top.is_dir():
            with _opened(self._top) as top, _guards(top) as found:
                self._keep(_admitted_by(found))
        return self._admitted

    def _keep(self, cgroups: Admitted | None) -> None:
        if self._admitted is not None:
            self._admitted.close()
        self._admitted = cgroups


def infrastructure_folders(root: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """Give the folders of the cgroups that an operator names.

    Args:
        root: Where the hierarchy is mounted.
        names: Units of the system, or with a leading slash paths of cgroups, such as slices.
    """
    return tuple(
        root / (name.strip("/") if name.startswith("/") else f"system.slice/{name}")
        for name in names
    )


def detach_guard(folder: Path) -> int:
    """Take the guard off one cgroup, whoever put it there; give how many there were.

    Raises:
        OSError: One is there still, or there is no such cgroup.
    """
    with _opened(folder) as top, _guards(top) as found:
        cgroups = _admitted_by(found)
        if cgroups is not None:
            with contextlib.closing(cgroups):
                cgroups.deny_others(deny=False)  # at once for all, whatever becomes of the rest
        for program in found:
            with contextlib.suppress(FileNotFoundError):  # somebody else was faster
                bpf.detach(top, program)
        return len(found)


def _put(top: int, code: bytes, old: list[int]) -> None:
    """Attach the program, in the place of those that are there."""
    try:
        program = bpf.load_program(code, NAME)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EACCES}:
            raise
        # Tried on 6.1; some time before, device programs cannot ask for the cgroups above.
        raise OSError(error.errno, f"{error.strerror}; the guard needs Linux 6.1") from None
    try:
        if old:
            bpf.replace(top, program, old[0])
        else:
            bpf.attach(top, program)
        for superfluous in old[1:]:
            bpf.detach(top, superfluous)
        if bpf.prog_info(program).id not in bpf.query(top):
            raise OSError(errno.EBUSY, "it vanished as soon as it was attached")
    finally:
        os.close(program)


def _state(programs: list[int]) -> GuardState:
    if not programs:
        return GuardState(on=False)
    cgroups = _admitted_by(programs)
    if cgroups is None:
        return GuardState(on=True, denied=None)
    with contextlib.closing(cgroups):
        return GuardState(on=cgroups.others_denied(), denied=cgroups.denials())


def _admitted_by(programs: list[int]) -> Admitted | None:
    """Give what the guard lets through; None: there is no guard, or none that we can read."""
    ids = (number for one in programs[:1] for number in bpf.prog_info(one).map_ids)
    opened = (Admitted.open(number) for number in ids)
    return next((one for one in opened if one is not None), None)


@contextlib.contextmanager
def _guards(top: int) -> Iterator[list[int]]:
    """Give the guard's programs on a cgroup; the descriptors are closed at the end."""
    with contextlib.ExitStack() as opened:
        found: list[int] = []
        for program_id in bpf.query(top):
            try:
                program = bpf.prog_fd_by_id(program_id)
            except FileNotFoundError:
                continue  # somebody has just detached his
            opened.callback(os.close, program)
            if bpf.prog_info(program).name == NAME:
                found.append(program)
        yield found


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what bpf(2) and open(2) raise into one line."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise EnforceError(
                f"the guard cannot be {what}: {error.filename}: {error.strerror}; name a folder"
                " of the cgroup2 hierarchy"
            ) from error
        raise EnforceError(f"the guard cannot be {what}: {error.strerror}") from error
