"""The seam at which something may stand between the daemon and the parts of its world.

Exists so that a test can end the real daemon before and after each thing that it does to the
ledger's file and to the kernel. Nothing of the product puts anything there.
"""

from typing import Protocol, TypeVar

_Part = TypeVar("_Part")


class Wrap(Protocol):
    """Gives what the daemon uses in the place of a part; the same type, used in the same way.

    It gets the store, the enforcer, the guard, and below the enforcer the hierarchy, the home of
    the cgroups and the device programs.
    """

    def __call__(self, part: _Part) -> _Part:
        """Give what is used for *part*."""
        ...


def bare(part: _Part) -> _Part:
    """Give *part* itself."""
    return part
