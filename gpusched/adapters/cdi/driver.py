"""NVIDIA's own document: which libraries and tools of the driver a container needs.

Exists so that nothing of the driver's is listed here. `nvidia-ctk cdi generate` writes it, or its
service nvidia-cdi-refresh (toolkit 1.18 and later), as /var/run/cdi/nvidia.yaml or below /etc/cdi.
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from gpusched.core.cdi import DRIVER_KIND, Fields

_LOOKS = (".yaml", ".yml", ".json")
_OURS = "gpusched"
_MOST = 4 << 20


class DriverDocument:
    """The first document of NVIDIA's kind in *folders*, read anew when the files have changed."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._seen: list[tuple[Path, int, int]] = []
        self._found: Fields = {}

    def read(self) -> Fields:
        """Give the document; empty where there is none."""
        seen = list(self._files())
        if seen != self._seen:
            self._seen, self._found = seen, _first((place, size) for place, _, size in seen)
        return self._found

    def _files(self) -> Iterator[tuple[Path, int, int]]:
        for folder in self._folders:
            for entry in sorted(_listed(folder), key=lambda one: one.name):
                # Our own documents come and go, and are not meant.
                if entry.name.endswith(_LOOKS) and not entry.name.startswith(_OURS):
                    with suppress(OSError):
                        status = entry.stat()
                        # Nobody may be waited for at the other end of a pipe.
                        if not stat.S_ISREG(status.st_mode):
                            continue
                        yield Path(entry.path), status.st_mtime_ns, status.st_size


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _first(places: Iterable[tuple[Path, int]]) -> Fields:
    for place, size in places:
        if size > _MOST:
            why = f"it has {size} bytes, and {_MOST} are the most"
            structlog.get_logger().warning("cdi document not read", file=str(place), reason=why)
            continue
        try:
            text = place.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        # Before it is parsed: YAML costs much more than a look.
        if DRIVER_KIND not in text:
            continue
        document = _parsed(place, text)
        if document.get("kind") == DRIVER_KIND:
            return document
    return {}


def _parsed(place: Path, text: str) -> Fields:
    import yaml  # noqa: PLC0415 - most hosts have none, and it costs 1 MB

    try:
        found = json.loads(text) if place.suffix == ".json" else yaml.safe_load(text)
    # RecursionError: lists in lists in lists …
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        structlog.get_logger().warning("cdi document not read", file=str(place), reason=why)
        return {}
    return found if isinstance(found, dict) else {}
