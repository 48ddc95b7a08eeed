"""What one user may see of another's leases and processes: an operator's choice.

Owners and administrators see all; what nobody else may see at all (requests, labels, owners,
histories) has no word here.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Sight:
    """Which parts are seen.

    Attributes:
        uid: Whose it is: uid, gid, name.
        device: On which devices it is.
        memory: How much memory it was promised, and uses.
        command: What runs: command line, and the name that the driver has of it.
    """

    uid: bool = True
    device: bool = True
    memory: bool = True
    command: bool = False

    def __str__(self) -> str:
        return ", ".join(self.words()) or "nothing"

    def words(self) -> tuple[str, ...]:
        """Give the parts that are seen, by the words of the configuration."""
        return tuple(word for word in WORDS if getattr(self, word))


WORDS = tuple(one.name for one in fields(Sight))
"""Every part, by its word."""

COMMON = Sight()
"""What a user sees of others unless the operator chooses otherwise."""

ALL = Sight(command=True)
"""What an owner or an administrator sees."""


def sight_of(words: tuple[str, ...]) -> Sight:
    """Give the sight that sees just these parts.

    Raises:
        ValueError: There is no such part.
    """
    for word in words:
        if word not in WORDS:
            raise ValueError(f"{word!r} is not one of {', '.join(WORDS)}")
    return Sight(**{word: word in words for word in WORDS})
