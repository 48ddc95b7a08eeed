"""A host on which the daemon dies at a chosen boundary: its daemon, its cgroups, its processes.

Everything is in cgroups of its own, so that what is left of a daemon or of a lease is found by
looking into them. Nothing is asserted here.
"""

import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Self

from gpusched.client.document import Document
from gpusched.client.errors import DaemonUnreachable
from gpusched.client.thin import ThinClient
from tests.capabilities import cgroup2_mount
from tests.e2e.faulty.asking import Asked, Caller
from tests.e2e.faulty.cgroups import ENTERED, made, populated
from tests.e2e.faulty.fuse import ORDER, RECORD
from tests.e2e.faulty.nursery import Nursery
from tests.e2e.host import kill
from tools.stage import GPUSCHED, Failed, Stage, waiting

FOREIGN = "foo.service"
_SIMULATED = "4xA100-80GB"
_SECONDS = 10.0
_STILL = 5  # looks, 20 ms apart, in which no boundary is crossed


class Died(Exception):
    """The daemon is gone, as it was ordered."""


class Ordeal(Stage):
    """A stage whose daemon can be told where to die.

    Attributes:
        at: The boundary at which it dies once it is armed; empty: at none.
    """

    def __init__(self) -> None:
        super().__init__(None)
        mount = cgroup2_mount()
        assert mount is not None
        self.at = ""
        self.client = ThinClient(str(self.socket))
        self.top = mount / f"gpusched-test-{secrets.token_hex(4)}"
        instance = sha256(bytes(self.state)).hexdigest()[:8]
        self.place = mount / f"gpusched_sim_{instance}"
        self.mount = mount
        self.foreign = self.top / FOREIGN
        self.work = self.top / "work"
        self.asked: list[Asked] = []
        self._callers: list[Caller] = []
        self._own = self.top / "daemon"
        config = self.folder / "gpusched.toml"
        config.write_text(
            '[sampling]\ninterval = "50ms"\n'
            '[leases]\ngrace = "50ms"\nsettle = "300ms"\n'
            f'[enforcement]\nguard_top = "/{self.top.name}"\n'
        )
        self.environment["GPUSCHED_CONFIG"] = str(config)

    def __enter__(self) -> Self:
        for one in (self.top, self.foreign, self.work, self._own):
            one.mkdir()
        self.nursery = Nursery(self.folder, self.environment, self.log)
        return self

    def __exit__(self, *error: object) -> None:
        self.end_processes()
        self.nursery.close()
        mine = (*made(self.place), self.place, self.foreign, self.work, self._own, self.top)
        for one in mine:
            self._remove(one)
        super().__exit__(None, None, None)

    @property
    def crossed(self) -> list[str]:
        """The boundaries since `arm`, in their order."""
        return [one for one in self._record() if not one.endswith(" 0")]

    def arm(self) -> None:
        """From now on boundaries count: the daemon dies at `at`. What went on has come to rest."""
        if self.nursery.alive:
            self.still()
        (self.folder / RECORD).unlink(missing_ok=True)
        fresh = self.folder / "order.new"
        fresh.write_text(self.at)
        fresh.rename(self.folder / ORDER)

    def disarm(self) -> None:
        """Let the next daemon live."""
        (self.folder / ORDER).unlink(missing_ok=True)

    def die(self, scenario: Callable[[Self], None], boundary: str) -> None:
        """Let the daemon die at *boundary* of *scenario*."""
        at, self.at = self.at, boundary
        try:
            scenario(self)
        except Died:
            self.disarm()
        else:
            raise Failed(f"{scenario.__name__} never comes to {boundary}")
        finally:
            self.at = at

    def begin(self) -> None:
        """Start a daemon and wait until it answers.

        Raises:
            Died: It ended as it was ordered.
        """
        (self.folder / RECORD).unlink(missing_ok=True)
        self.nursery.bear(self._own, ["serve", "--simulate", _SIMULATED, "--log-level", "warning"])
        for _ in waiting(_SECONDS, "the daemon to answer"):
            with suppress(DaemonUnreachable):
                self.client.call("Node/Ping")
                return
            if not self.nursery.alive:
                raise self.death()

    def death(self) -> Exception:
        """Say how the daemon ended; it must not be alive any more."""
        code = self.nursery.wait()
        if code == -signal.SIGKILL and (self.folder / ORDER).exists():
            return Died()
        return Failed(f"the daemon ended with {code}: {self.log.read_text()[-2000:]}")

    def call(self, method: str, message: dict[str, object] | None = None) -> Document:
        """Call the daemon.

        Raises:
            Died: It ended as it was ordered.
            GpuschedError: It refused.
        """
        try:
            return self.client.call(method, message)
        except DaemonUnreachable:
            raise self.death() from None

    def allocate(self, **wish: object) -> str:
        """Reserve with a key of its own; give the lease's id."""
        message: dict[str, object] = {"request_id": secrets.token_hex(4), **wish}
        asked = Asked(self.call, message)
        self.asked.append(asked)
        asked.lease = self.call("Leases/Allocate", message).part("lease").text("id")
        return asked.lease

    def attach(self, lease: str, pid: int) -> None:
        """Put a process and its descendants under *lease*."""
        for one in self.asked:
            if one.lease == lease:
                one.pids.append(pid)
        self.call("Leases/Attach", {"lease_id": lease, "process": {"pid": pid}})

    def leases(self) -> dict[str, Document]:
        """Give the living leases by id."""
        return {one.text("id"): one for one in self.call("Leases/List").parts("leases")}

    @staticmethod
    def until(condition: Callable[[], object], what: str, seconds: float = _SECONDS) -> None:
        """Wait until *condition* holds."""
        for _ in waiting(seconds, what):
            if condition():
                return

    def still(self) -> None:
        """Wait until nothing of an armed scenario goes on any more.

        Raises:
            Died: The daemon ended instead.
        """
        crossed, looks = -1, 0
        for _ in waiting(_SECONDS, "the daemon to come to rest"):
            self.call("Node/Ping")  # a daemon that gets no processor is not at rest
            record = self._record()
            rests = len(record) == crossed and _balanced(record)
            looks, crossed = (looks + 1 if rests else 0), len(record)
            if looks == _STILL:
                return

    def ended(self, lease: str) -> None:
        """Wait until *lease* has ended and nothing of it goes on."""
        self.until(lambda: lease not in self.leases(), f"{lease} to end")
        self.still()

    def sleeper(self, *, where: Path | None = None, script: str = "exec sleep 600") -> int:
        """Start a process outside of every lease; give its pid once it has begun."""
        begun = "echo; "
        process = self.start(
            "/bin/sh", "-c", ENTERED, str(where or self.work), "/bin/sh", "-c", begun + script
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    def run_command(self, *command: str) -> None:
        """Start `gpusched run` with *command*."""
        words = (str(GPUSCHED), "run", "--", *command)
        self.start("/bin/sh", "-c", ENTERED, str(self.work), *words)

    def end_process(self, pid: int) -> None:
        """End a process of this scenario's by SIGKILL, and wait until it is gone."""
        kill(pid)

    def remove(self, cgroup: Path) -> None:
        """Remove a cgroup, if the daemon has not yet."""
        with suppress(FileNotFoundError):
            cgroup.rmdir()

    def _record(self) -> list[str]:
        path = self.folder / RECORD
        return path.read_text().splitlines() if path.exists() else []

    def _remove(self, cgroup: Path) -> None:
        self.until(lambda: not populated(cgroup), f"{cgroup} to be empty")
        self.remove(cgroup)

    def control(self, text: str) -> None:
        """Change the simulator while it runs."""
        place = self.state / "simulator" / "control.toml"
        fresh = place.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(place)

    def caller(self, *, where: Path | None = None) -> Caller:
        """Start a process that asks for itself."""
        one = Caller(where or self.work, self.environment, self.asked, self.death)
        self._callers.append(one)
        return one

    def end_processes(self) -> None:
        """End whatever was started for a scenario, wherever it is now."""
        for cgroup in (self.work, self.foreign, *made(self.place)):
            with suppress(FileNotFoundError):
                (cgroup / "cgroup.kill").write_text("1")
        for one in self._callers:
            one.end()
        self._callers.clear()
        self.clear()

    def daemon_left(self) -> bool:
        """Say whether a process of a daemon that died lives still."""
        return populated(self._own)

    @contextmanager
    def once(self) -> Iterator[None]:
        """Let one scenario happen, and forget what it has asked for."""
        try:
            yield
        finally:
            self.disarm()
            self.asked.clear()


def _balanced(record: list[str]) -> bool:
    """Say whether every step that was begun is done."""
    steps = Counter(one.split(" ")[1] for one in record)
    return all(count % 2 == 0 for count in steps.values())
