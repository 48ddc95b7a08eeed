"""What is installed into the service's environment: from where the running gpusched came.

Pure: what was found is an argument. The record is pip's `direct_url.json` (packaging.python.org,
"Recording the Direct URL Origin of installed distributions").
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict
from urllib.parse import unquote, urlsplit

from gpusched.setup.places import VENV

DISTRIBUTION = "gpusched-daemon"


class _VcsInfo(TypedDict):
    vcs: str
    commit_id: str


class _Origin(TypedDict, total=False):
    url: str
    vcs_info: _VcsInfo


@dataclass(frozen=True, slots=True)
class Running:
    """The gpusched that runs this code.

    Attributes:
        prefix: Of its Python environment.
        version: Its own.
        origin: Text of `direct_url.json`; None where pip took it from an index.
        tree: The source tree that it runs from without being installed; else None.
    """

    prefix: Path
    version: str
    origin: str | None
    tree: Path | None


@dataclass(frozen=True, slots=True)
class Source:
    """What pip is told to install.

    Attributes:
        requirement: A path, an address or a name with its version.
        file: The path that must be there; None for what pip fetches.
    """

    requirement: str
    file: Path | None


def source_of(named: Path | None, running: Running) -> Source | None:
    """Decide what to install; None: what runs is in its place already.

    Args:
        named: What the user named, if anything: a wheel, an sdist or a source tree.
        running: The gpusched that was asked.
    """
    if named is not None:
        return Source(str(named), named)
    if running.prefix == VENV:
        return None
    if running.origin is not None:
        return _of_origin(json.loads(running.origin))
    if running.tree is not None:
        return Source(str(running.tree), running.tree)
    return Source(f"{DISTRIBUTION}=={running.version}", None)


def _of_origin(origin: _Origin) -> Source:
    url = origin["url"]
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        return Source(str(path), path)
    if "vcs_info" in origin:
        info = origin["vcs_info"]
        return Source(f"{DISTRIBUTION} @ {info['vcs']}+{url}@{info['commit_id']}", None)
    return Source(f"{DISTRIBUTION} @ {url}", None)
