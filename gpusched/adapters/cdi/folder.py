"""The folder in which container engines look: one file for each lease, never half of one.

Source: CDI's SPEC.md: a file ends in `.json` or `.yaml`, engines read the folder again when it
changes, and /var/run/cdi is for what a daemon generates.
"""

import contextlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from gpusched.adapters.cdi.driver import DriverDocument
from gpusched.core.cdi import Fields
from gpusched.core.ids import LeaseId

_FILE_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755


class CdiFolder:
    """Documents of one daemon's leases.

    Args:
        folder: Where engines look; made when it is needed.
        name: With which the names of files begin: two daemons on one host, one of them a
            simulator, must not take each other's for their own.
        driver_folders: Where NVIDIA's document may lie, the first one first.
    """

    def __init__(self, folder: Path, name: str, driver_folders: Collection[Path]) -> None:
        self._folder = folder
        self._start = f"{name}-"
        self._driver = DriverDocument(driver_folders)

    def put(self, lease: LeaseId, document: Fields, *, public: bool) -> None:
        """Write a document: beside its place first, since an engine may read at any moment."""
        place = self._place(lease)
        # No engine takes a file for a document that does not end in .json or .yaml.
        fresh = place.with_suffix(".new")
        try:
            self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)  # one that a crash left may be everybody's
            made = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
            with os.fdopen(made, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=1)
                # Whatever the umask is.
                os.fchmod(file.fileno(), _PUBLIC_MODE if public else _FILE_MODE)
            fresh.replace(place)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise OSError(error.errno, f"{place}: {error.strerror}") from None

    def remove(self, lease: LeaseId) -> None:
        """Remove a document."""
        self._place(lease).unlink(missing_ok=True)

    def leases(self) -> Collection[LeaseId]:
        """List the documents by their names; what a crash left of one goes."""
        for half in self._folder.glob(f"{self._start}lease-*.new"):
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)
        found = self._folder.glob(f"{self._start}lease-*.json")
        return [LeaseId(one.stem.removeprefix(self._start)) for one in found]

    def driver(self) -> Fields:
        """Find NVIDIA's document."""
        return self._driver.read()

    def _place(self, lease: LeaseId) -> Path:
        return self._folder / f"{self._start}{lease}.json"
