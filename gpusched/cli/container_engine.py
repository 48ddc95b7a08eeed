"""Asks the container engine of this host what it is, and what its containers are called.

Exists because the flags that give a container a lease depend on the engine's version. Engines are
asked by their own commands; what is made of the answers is `container_flags`.
Source: docker-version(1), docker-info(1), docker-inspect(1), and the same of Podman.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence

_SECONDS = 10.0
_VERSION = re.compile(r"(\d+)\.(\d+)")
# Told apart from an engine's own id of a container: names may look like anything else.
_ID = re.compile(r"[0-9a-f]{64}")


class Engine:
    """A container engine.

    Attributes:
        name: `docker` or `podman`.
        version: Major and minor.
        text: The version as it says it.
        folders: Where it looks for CDI documents; None: it does not say.
        nvidia: Whether it has NVIDIA's runtime, which brings the driver's files.
    """

    __slots__ = ("folders", "name", "nvidia", "text", "version")

    def __init__(
        self,
        name: str,
        text: str,
        folders: Sequence[str] | None = None,
        *,
        nvidia: bool = False,
    ) -> None:
        found = _VERSION.match(text)
        self.name = name
        self.text = text
        self.version = (int(found[1]), int(found[2])) if found else (0, 0)
        self.folders = folders
        self.nvidia = nvidia


def engine_here() -> Engine | None:
    """Find the engine that a user of this host types: docker if it answers, else podman."""
    said = _told("docker", "--version") or ""
    # Podman under Docker's name.
    if not said.startswith("podman"):
        found = _docker()
        if found is not None:
            return found
    said = _told("podman", "--version") or said
    version = said.rpartition(" ")[2]
    return Engine("podman", version) if _VERSION.match(version) else None


def container_named(name: str) -> list[tuple[str, str]]:
    """Give what engines know under a name: the engine and the whole id of the container, each."""
    found: list[tuple[str, str]] = []
    for engine in ("docker", "podman"):
        said = _told(engine, "container", "inspect", "--format", "{{.Id}}", name)
        if said is not None and _ID.fullmatch(said) and said not in [one for _, one in found]:
            found.append((engine, said))
    return found


def _docker() -> Engine | None:
    version = _told("docker", "version", "--format", "{{.Server.Version}}")
    if version is None or not _VERSION.match(version):
        return None
    folders = _listed(_told("docker", "info", "--format", "{{json .CDISpecDirs}}"))
    runtimes = _told("docker", "info", "--format", "{{json .Runtimes}}") or ""
    return Engine("docker", version, folders, nvidia='"nvidia"' in runtimes)


def _listed(said: str | None) -> list[str] | None:
    """Read a list; None where an engine knows no such word, or says nothing."""
    try:
        found = json.loads(said or "null")
    except ValueError:
        return None
    return [str(one) for one in found] if isinstance(found, list) else None


def _told(*words: str) -> str | None:
    """Run a command; give what it prints, or None where it fails or is not there."""
    if shutil.which(words[0]) is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - an engine's own command
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()
