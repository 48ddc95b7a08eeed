"""Simulated memory of the running process: taken at one stroke, gone with the process.

Two workers never get the last bytes both: whoever takes memory holds the folder's lock from
reading what is free until its own registration stands.
"""

import fcntl
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from gpusched.adapters.nvml.simulated.registrations import Registration, locked
from gpusched.adapters.nvml.simulated.view import View
from gpusched.adapters.nvml.simulated.watch import Watch
from gpusched.core.sizes import in_words


class OutOfMemory(Exception):
    """A device has not that much free; nothing was taken.

    Attributes:
        uuid: The device.
        wanted: Bytes.
        free: Bytes.
    """

    def __init__(self, uuid: str, wanted: int, free: int) -> None:
        super().__init__(
            f"CUDA out of memory: tried to allocate {in_words(wanted)} on device {uuid}"
            f" ({in_words(free)} free)"
        )
        self.uuid = uuid
        self.wanted = wanted
        self.free = free


class SimulatedMemory:
    """What this process holds on the devices of one simulator directory."""

    def __init__(self, directory: Path, lists: Iterable[str] = ("C",)) -> None:
        """Hold nothing yet.

        Args:
            directory: The simulator directory.
            lists: Letters of the process lists to stand in.

        Raises:
            ScenarioError: It is not a simulator directory.
        """
        self._watch = Watch(directory)
        self._folder = self._watch.places.processes
        self._lists = frozenset(lists)
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}.json"
        self._held: dict[str, int] = {}
        self._descriptor: int | None = None

    @property
    def held(self) -> Mapping[str, int]:
        """Bytes by UUID."""
        return dict(self._held)

    def view(self) -> View:
        """Look at the simulated host."""
        return self._watch.current()

    def take(self, wanted: Mapping[str, int]) -> None:
        """Take memory on devices, on all or on none.

        Args:
            wanted: Bytes by UUID of the GPU or MIG device, in addition to what is held.

        Raises:
            OutOfMemory: One of them has not that much free, or is gone.
            OSError: The directory cannot be written.
        """
        with locked(self._folder):
            view = self._watch.current()
            for uuid, size in wanted.items():
                subject = view.by_uuid.get(uuid)
                free = 0 if subject is None else view.memory(subject).free
                if size > free:
                    raise OutOfMemory(uuid, size, free)
            after = {uuid: self._held.get(uuid, 0) + size for uuid, size in wanted.items()}
            self._register({**self._held, **after})

    def free(self) -> None:
        """Give all back, and stand in no list any more; more can be taken afterwards."""
        if self._descriptor is not None:
            (self._folder / self._name).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
        self._held = {}

    def close(self) -> None:
        """Give all back for good. Idempotent."""
        self.free()
        self._watch.close()

    def _register(self, held: dict[str, int]) -> None:
        """Replace the registration; nobody ever sees it unlocked or half written."""
        fresh = self._folder / f".{self._name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(fresh, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            registration = Registration(os.getpid(), self._lists, held)
            os.write(descriptor, registration.to_json().encode())
            os.fchmod(descriptor, 0o644)  # root's library and other users' workers read it
            fresh.rename(self._folder / self._name)
        except OSError:
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            raise
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._held = descriptor, held
