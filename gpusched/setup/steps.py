"""The steps that setup is made of, as values; nothing here touches the host."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Reason(Enum):
    """Why setup ends early; the command line has an exit code for each."""

    WORDS = "what was typed cannot be done"
    NOT_ROOT = "root is needed"
    NO_SYSTEMD = "this host is not one for setup"
    IN_USE = "later perhaps"
    FAILED = "a step failed"


class SetupFault(Exception):
    """Setup ends early; the text is the one line for the user, with the next step.

    Attributes:
        reason: For the exit code.
    """

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Execute:
    """Run a program to its end.

    Attributes:
        title: What it does, for the progress line.
        command: Its words; nothing is expanded.
        otherwise: What the user can do when it fails.
        journal: Unit whose own last line in the journal is the cause of a failure, if any.
        may_fail: Its failure changes nothing.
    """

    title: str
    command: tuple[str, ...]
    otherwise: str = "mend it and run `gpusched setup` again"
    journal: str = ""
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Put a file in its place, whole or not at all; everybody may read it."""

    path: Path
    text: str

    @property
    def title(self) -> str:
        """What it does."""
        return f"write {self.path}"


@dataclass(frozen=True, slots=True)
class Link:
    """Make a symbolic link, in place of one that is there."""

    path: Path
    target: Path

    @property
    def title(self) -> str:
        """What it does."""
        return f"link {self.path} to {self.target}"


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a file, or a folder with all that is in it; absent already is no failure."""

    path: Path

    @property
    def title(self) -> str:
        """What it does."""
        return f"remove {self.path}"


@dataclass(frozen=True, slots=True)
class DeleteEmpty:
    """Remove a folder if nothing is in it; otherwise it belongs to others too."""

    path: Path

    @property
    def title(self) -> str:
        """What it does."""
        return f"remove {self.path} if it is empty"


Step = Execute | Write | Link | Delete | DeleteEmpty
