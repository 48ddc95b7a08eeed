"""A kernel of values: cgroups, programs, processes. It carries out what the core asks for.

Each action is one step, and fails where it is told to; the half-done one of a daemon that is
killed is a step of its own. Nothing here knows the ledger.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from gpusched.core.actions import Follow, Join, Kill, Prepare, Remask, Terminate, Unprepare
from gpusched.core.enforcement import LeaseCgroup, Level, Mode
from gpusched.core.events import (
    CgroupEmptied,
    JoinFailed,
    KernelEvent,
    LeaseJoined,
    LeasePrepared,
    Masked,
    PrepareFailed,
    Unprepared,
)
from gpusched.core.ids import Instant, ProcessId
from gpusched.core.mask import Mask
from gpusched.core.observation import Observation, SeenCgroup
from gpusched.core.replies import Attachment
from gpusched.core.standing import Member, Standing
from tests.fakes.builders import ADA

HOME = "/gpusched"
SESSION = "/user.slice/session-1.scope"
SERVICES = ("/system.slice/a.service", "/system.slice/b.service")
UIDS = (ADA.uid, ADA.uid, ADA.uid)
Task = Prepare | Join | Remask | Terminate | Kill | Unprepare | Follow


@dataclass(slots=True)
class Folder:
    """A cgroup.

    Attributes:
        cgroup: Its identity.
        program: What its program allows; None: it has none.
        bare: Whether it may do without: nobody asked for one, or the kernel refused it.
    """

    cgroup: LeaseCgroup
    program: Mask | None = None
    bare: bool = False


@dataclass(slots=True)
class ModelKernel:
    """What the kernel holds; it outlives every daemon.

    Attributes:
        folders: By path.
        processes: Where each living process is.
        killed: Processes that gpusched has ended.
    """

    folders: dict[str, Folder] = field(default_factory=dict)
    processes: dict[ProcessId, str] = field(default_factory=dict)
    killed: list[ProcessId] = field(default_factory=list)
    _followed: dict[LeaseCgroup, None] = field(default_factory=dict)
    _last: int = 0

    def __post_init__(self) -> None:
        for path in (SESSION, *SERVICES):
            self._make(path, made=False)

    def spawn(self, path: str) -> ProcessId:
        """Start a process in a cgroup."""
        self._last += 1
        process = ProcessId(self._last, self._last)
        self.processes[process] = path
        return process

    def inside(self, path: str) -> list[ProcessId]:
        """The processes of a cgroup."""
        return [one for one, where in self.processes.items() if where == path]

    def standing(self, process: ProcessId | None, path: str = "") -> Standing:
        """What the daemon finds of a process, or of a whole cgroup."""
        where = path if process is None else self.processes[process]
        some = self.inside(where) if process is None else [process]
        tree = tuple(Member(one, UIDS) for one in some)
        return Standing(where, self.folders[where].cgroup.inode, tree)

    def restart(self, path: str) -> None:
        """A service ends with all its processes and comes back: another cgroup of its name."""
        for one in self.inside(path):
            del self.processes[one]
        self._make(path, made=False)
        self.spawn(path)

    def observe(self, begun_at: Instant, known: Collection[LeaseCgroup]) -> Observation:
        """What is *known*, what gpusched made, and what carries a program."""
        return Observation(
            tuple(
                SeenCgroup(
                    one.cgroup,
                    bool(self.inside(path)),
                    None if one.program is None else one.program.digest,
                )
                for path, one in self.folders.items()
                if one.cgroup.made or one.program is not None or one.cgroup in known
            ),
            begun_at,
        )

    def forget_followed(self) -> None:
        """The daemon is gone, and its watches with it."""
        self._followed.clear()

    def emptied(self) -> list[CgroupEmptied]:
        """Give what is told to whoever follows: once for each cgroup that is empty or gone."""
        over = [one for one in self._followed if self._folder(one) is None]
        over += [one for one in self._followed if one not in over and not self.inside(one.path)]
        for one in over:
            del self._followed[one]
        return [CgroupEmptied(one) for one in over]

    def carry_out(self, task: Task, *, fails: bool) -> KernelEvent | None:
        """Do it, or fail in the way in which it can; give what comes of it."""
        match task:
            case Prepare():
                return self._prepare(task, fails=fails)
            case Join():
                return self._join(task, fails=fails)
            case Remask():
                return self._remask(task, fails=fails)
            case Unprepare():
                return None if fails else self._unprepare(task)
            case Terminate(cgroup) | Kill(cgroup):
                assert cgroup.made, "nobody else's processes are signalled"
                if isinstance(task, Kill) and not fails:
                    self._kill(cgroup)
            case Follow(cgroup):
                self._followed[cgroup] = None
        return None

    def interrupt(self, order: Prepare, stage: int) -> None:
        """Be left with a preparation that was done up to *stage*: cgroup, program, processes."""
        if order.mode is Mode.IN_PLACE:
            if stage and order.cgroup in self.folders and order.mask is not None:
                self.folders[order.cgroup].program = order.mask
            return
        known = self._make(path_of(order), made=True)
        if stage:
            known.program, known.bare = order.mask, order.mask is None
        if stage > 1 and order.process in self.processes:
            self.processes[order.process] = known.cgroup.path

    def _prepare(self, order: Prepare, *, fails: bool) -> LeasePrepared | PrepareFailed:
        process, path = order.process, path_of(order)
        gone = process is not None and process not in self.processes
        if not gone and process is not None and order.mode is Mode.IN_PLACE:
            gone = self.processes[process] != path
        if gone or (fails and order.required):
            return PrepareFailed(order.lease, "it cannot be done", refused=gone)
        moved = order.mode is Mode.MOVE
        known = self._make(path, made=True) if moved else self.folders[path]
        level = Level.ADVISORY if fails or order.mask is None else Level.DEVICE_PROGRAM
        if level is Level.DEVICE_PROGRAM:
            known.program = order.mask
        else:
            known.bare = True
        if moved and process is not None:
            self.processes[process] = path
        attachment = Attachment(order.mode, tuple(self.inside(path)))
        sentence = "no program can be had" if fails else ""
        return LeasePrepared(order.lease, known.cgroup, level, sentence, attachment)

    def _join(self, order: Join, *, fails: bool) -> LeaseJoined | JoinFailed:
        known = self._folder(order.cgroup)
        where = self.processes.get(order.process)
        stranger = not order.cgroup.made and where != order.cgroup.path
        if known is None or where is None or stranger or fails:
            return JoinFailed(order.lease, "it cannot be done")
        if order.mask is not None:
            known.program = order.mask
        self.processes[order.process] = order.cgroup.path
        mode = Mode.MOVE if order.cgroup.made else Mode.IN_PLACE
        return LeaseJoined(order.lease, order.process, Attachment(mode, (order.process,)))

    def _unprepare(self, order: Unprepare) -> Unprepared | None:
        known = self._folder(order.cgroup)
        if known is None:
            return Unprepared(order.cgroup)
        if not order.cgroup.made:
            known.program = None
            return Unprepared(order.cgroup)
        if order.back_to is not None:
            there = order.back_to if order.back_to in self.folders else SESSION
            for one in self.inside(order.cgroup.path):
                self.processes[one] = there
        if self.inside(order.cgroup.path):
            return None
        del self.folders[order.cgroup.path]
        return Unprepared(order.cgroup)

    def _remask(self, order: Remask, *, fails: bool) -> Masked:
        known = self._folder(order.cgroup)
        if known is None or fails:
            return Masked(order.cgroup, "it is gone")
        known.program = order.mask
        return Masked(order.cgroup)

    def _kill(self, cgroup: LeaseCgroup) -> None:
        for one in self.inside(cgroup.path) if self._folder(cgroup) is not None else ():
            del self.processes[one]
            self.killed.append(one)

    def _folder(self, cgroup: LeaseCgroup) -> Folder | None:
        known = self.folders.get(cgroup.path)
        return known if known is not None and known.cgroup.inode == cgroup.inode else None

    def _make(self, path: str, *, made: bool) -> Folder:
        self._last += 1
        self.folders[path] = Folder(LeaseCgroup(path, self._last, made))
        return self.folders[path]


def path_of(task: Task) -> str:
    """The cgroup that an action is about: work on one is done in order."""
    if not isinstance(task, Prepare):
        return task.cgroup.path
    return task.cgroup if task.mode is Mode.IN_PLACE else f"{HOME}/{task.lease}"
