"""Users and groups that the configuration names: numbers, or names that this host knows.

They are looked up when the file is read: a name with a typing error is a fault, not a bound that
nobody has.
"""

import grp
import pwd
from collections.abc import Callable
from dataclasses import dataclass

_LAST_ID = (1 << 32) - 2
"""The number after it, -1, means "no change" to the kernel."""


@dataclass(frozen=True, slots=True)
class Names:
    """Where names are looked up; each gives None for one that there is not.

    Attributes:
        uid: Gives the number of a user.
        gid: Gives the number of a group.
    """

    uid: Callable[[str], int | None]
    gid: Callable[[str], int | None]


def uid_of(value: object, names: Names) -> int:
    """Read a user: a name or a uid.

    Raises:
        ValueError: It is neither, or nobody has the name.
    """
    return _number(value, names.uid, "user", "uid")


def gid_of(value: object, names: Names) -> int:
    """Read a group: a name or a gid.

    Raises:
        ValueError: It is neither, or no group has the name.
    """
    return _number(value, names.gid, "group", "gid")


def in_words(value: object, kind: str, number: str) -> str:
    """Give who was named as he was: `user ann`, `uid 1000`.

    Args:
        value: A name or a number.
        kind: What a name is one of.
        number: What a number is called.
    """
    return f"{kind} {value}" if isinstance(value, str) else f"{number} {value}"


def _number(value: object, look_up: Callable[[str], int | None], kind: str, number: str) -> int:
    if isinstance(value, str) and value:
        found = look_up(value)
        if found is None:
            raise ValueError(
                f"this host has no {kind} {value!r}; correct the name, or write the {number}"
            )
        return found
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LAST_ID:
        raise ValueError(f"{value!r} is neither the name of a {kind} in quotes nor a {number}")
    return value


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # ValueError: a null byte in it
        return None


def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


HOST = Names(_uid, _gid)
"""The name services of this host."""
