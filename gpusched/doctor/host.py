"""The host as the doctor sees it: files below one root, device nodes, programs, and who asks.

Exists so that every check can be shown another host: nothing else of the doctor opens a file.
What may not be seen raises, so that no check takes it for absent.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gpusched.doctor.execution import Execute, Output, Silent, execute
from gpusched.doctor.patience import T, within

_DRIVERS: Final = "/proc/driver/"
DRIVER_PATIENCE: Final = 5.0
"""Seconds for a driver to give one of its files."""

FILE_PATIENCE: Final = 5.0
"""Seconds for a look at any other file: its server may be dead, or it is a FIFO."""

_PATIENCE: Final = 5.0


class Hidden(Exception):
    """This user may not see it; the text is its path."""


class Unreadable(Exception):
    """It is there and cannot be read; the text says what and why."""


@dataclass(frozen=True, slots=True)
class Node:
    """A device node, or what is in its place.

    Attributes:
        major: Major number; 0 for what is no device.
        minor: Minor number.
        mode: Permission bits, such as 0o666.
        character: Whether it is a character device.
    """

    major: int
    minor: int
    mode: int
    character: bool = True


@dataclass(frozen=True, slots=True)
class Space:
    """What a file system has left: bytes, and files that can still be made (None: unlimited)."""

    free: int
    files: int | None


@dataclass(frozen=True)
class Host:
    """A host.

    What does not answer within `FILE_PATIENCE` raises `Silent`.

    Attributes:
        root: Folder that stands for `/`.
        machine: What the kernel calls the architecture, such as `x86_64`.
        uid: Effective uid of who asks.
        environment: The caller's.
        execute: Runs programs.
    """

    root: Path = Path("/")
    machine: str = field(default_factory=lambda: os.uname().machine)
    uid: int = field(default_factory=os.geteuid)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    execute: Execute = execute

    def read(self, path: str) -> str | None:
        """Give a text file; None: it is not there.

        Raises:
            Hidden: This user may not read it.
            Unreadable: It cannot be read.
            Silent: A driver did not answer within `DRIVER_PATIENCE`.
        """
        place = self._at(path)
        if path.startswith(_DRIVERS):
            return self._read_apart(path, place)
        try:
            return self._look(path, lambda: place.read_text("utf-8", "replace"))
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
            return None
        except OSError as error:
            raise _failed(path, error) from None

    def entries(self, path: str) -> tuple[str, ...]:
        """List a folder by name, sorted; nothing where it is not there."""
        try:
            found = self._look(path, lambda: list(self._at(path).iterdir()))
            return tuple(sorted(one.name for one in found))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise _failed(path, error) from None

    def exists(self, path: str) -> bool:
        """Say whether something is there, a dangling link included.

        Raises:
            Hidden: This user may not look into its folder.
        """
        try:
            self._look(path, self._at(path).lstat)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _failed(path, error) from None
        return True

    def link(self, path: str) -> str | None:
        """Give what a symbolic link says; None: there is none.

        Raises:
            Hidden: This user may not read it.
        """
        try:
            return str(self._look(path, self._at(path).readlink))
        except PermissionError:
            raise Hidden(path) from None
        except OSError:
            return None

    def real_name(self, path: str) -> str | None:
        """Give the last name of what a path leads to in the end; None: nothing is there."""
        try:
            return self._look(path, lambda: self._at(path).resolve(strict=True).name)
        except (OSError, RuntimeError):  # the latter for links in a circle, before Python 3.13
            return None

    def real_path(self, path: str) -> str:
        """Give where a path leads to in the end; as it is where its links go round in a circle."""
        try:
            found = self._look(path, self._at(path).resolve)
        except (OSError, RuntimeError):
            return path
        root = self.root.resolve()
        return f"/{found.relative_to(root)}" if found.is_relative_to(root) else path

    def node(self, path: str) -> Node | None:
        """Describe a device node; None: nothing is there."""
        try:
            found = self._look(path, self._at(path).stat)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failed(path, error) from None
        return Node(
            character=stat.S_ISCHR(found.st_mode),
            major=os.major(found.st_rdev),
            minor=os.minor(found.st_rdev),
            mode=stat.S_IMODE(found.st_mode),
        )

    def may_write(self, path: str) -> bool:
        """Say whether this user may write there."""
        return self._look(path, lambda: os.access(self._at(path), os.W_OK))

    def changed_at(self, path: str) -> int | None:
        """Give when a file was changed last, in ns of wall time; None: it is not to be seen."""
        try:
            return self._look(path, self._at(path).stat).st_mtime_ns
        except (OSError, Silent):
            return None

    def space(self, path: str) -> Space:
        """Give what is left on the file system of an existing path."""
        try:
            found = self._look(path, lambda: os.statvfs(self._at(path)))
        except OSError as error:
            raise _failed(path, error) from None
        return Space(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)

    def run(self, *words: str, patience: float = _PATIENCE) -> Output | None:
        """Run a program; None: it is not installed. Raises as `execution.execute`."""
        return self.execute(words, patience)

    def _read_apart(self, path: str, place: Path) -> str | None:
        """Read a driver's file in another process: a driver that hangs must not hang us."""
        if not self.exists(path):
            return None
        output = execute(("cat", "--", str(place)), DRIVER_PATIENCE)
        if output is None or output.code:
            why = "there is no `cat`" if output is None else output.last_words.rpartition(": ")[2]
            raise Unreadable(f"{path} cannot be read: {why}")
        return output.text

    def _look(self, path: str, look: Callable[[], T]) -> T:
        return within(FILE_PATIENCE, path, look)

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def _failed(path: str, error: OSError) -> Exception:
    if isinstance(error, PermissionError):
        return Hidden(path)
    return Unreadable(f"{path} cannot be read: {error.strerror}")
