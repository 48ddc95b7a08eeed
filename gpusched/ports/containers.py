"""Where container engines look, and who knows containers and units by their names."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from gpusched.core.cdi import Fields
from gpusched.core.ids import LeaseId


@dataclass(frozen=True, slots=True)
class Named:
    """How container engines know a lease.

    Attributes:
        name: As it is typed, such as `gpusched.io/lease=lease-…`; empty where there is none.
        failure: Why there is none, a sentence.
    """

    name: str
    failure: str = ""


class LeaseDocuments(Protocol):
    """The documents by which container engines know leases. Blocking."""

    def put(self, lease: LeaseId, document: Fields, *, public: bool) -> None:
        """Write a document, whole or not at all; also over an earlier one.

        Args:
            lease: Whose.
            document: What stands in it.
            public: Whether everybody may read it; else only engines that run as the daemon does.

        Raises:
            OSError: It cannot be written; the text is fit for a user.
        """
        ...

    def remove(self, lease: LeaseId) -> None:
        """Remove a document. Idempotent.

        Raises:
            OSError: It is still there.
        """
        ...

    def leases(self) -> Collection[LeaseId]:
        """Give the leases that have a document of this daemon's; none where there is no folder."""
        ...

    def driver(self) -> Fields:
        """Give NVIDIA's own document, which names the driver's files; empty: there is none."""
        ...


class Units(Protocol):
    """The units of a service manager, by their names."""

    async def cgroup(self, unit: str) -> str | None:
        """Give the cgroup of a running unit; None where no such unit is loaded.

        Empty where it is loaded and does not run.

        Raises:
            EnforceError: The service manager does not say, or there is none.
        """
        ...
