"""What is on the host before setup changes anything: looked at once, then a value."""

import grp
import os
import sys
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

import gpusched
from gpusched.setup import places
from gpusched.setup.source import DISTRIBUTION, Running


class Environment(Enum):
    """What is at the fixed place of the virtual environment."""

    ABSENT = "nothing"
    STRANGER = "something that is no virtual environment"
    STALE = "one of another Python, or a broken one"
    USABLE = "one that works"


@dataclass(frozen=True, slots=True)
class Host:
    """What was found.

    Attributes:
        root: Whether this process may do all of it.
        systemd: Whether systemd is process 1.
        python: The interpreter below the running one, outside any environment.
        venv: What is at the fixed place.
        installed: Version of gpusched in it; empty: none.
        running: The gpusched that runs this code.
        config: Text of the configuration file; None: absent.
        service: Whether the unit file is there.
        masked: Whether the operator masked the unit.
        drop_ins: Files that change the unit, other than ours.
        command: Where the command's place leads; None: nothing is there.
        members: Of the group; None: there is no such group.
        documents: By which container engines know leases.
    """

    root: bool
    systemd: bool
    python: Path
    venv: Environment
    installed: str
    running: Running
    config: str | None
    service: bool
    masked: bool
    drop_ins: tuple[Path, ...]
    command: Path | None
    members: tuple[str, ...] | None
    documents: tuple[Path, ...] = ()

    @property
    def command_is_ours(self) -> bool:
        """Whether the command's place leads into our environment."""
        return self.command is not None and self.command.is_relative_to(places.VENV)


def look() -> Host:
    """Look at this host.

    Raises:
        OSError: What is there cannot be read.
    """
    unit = places.UNITS / places.SERVICE
    return Host(
        root=os.geteuid() == 0,
        systemd=Path("/run/systemd/system").is_dir(),  # as sd_booted(3) finds out
        python=_base_python(),
        venv=_environment(places.VENV),
        installed=_installed(places.VENV),
        running=_running(),
        config=_text(places.CONFIG),
        service=unit.exists() and not unit.is_symlink(),
        masked=unit.is_symlink(),
        drop_ins=tuple(sorted(set(_files(places.DROP_INS)) - {places.SIMULATE})),
        command=_target(places.COMMAND) if os.path.lexists(places.COMMAND) else None,
        members=_members(),
        documents=tuple(
            sorted(one for name in places.DOCUMENTS for one in places.SPECS.glob(name))
        ),
    )


def _text(path: Path) -> str | None:
    """Read a file that an operator may have written in any encoding; None: it is not there."""
    return path.read_text("utf-8", "replace") if path.exists() else None


def _target(path: Path) -> Path:
    """Follow one link only: what is behind the environment's own command does not matter."""
    return path.readlink() if path.is_symlink() else path


def _base_python() -> Path:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (Path(sys.base_prefix) / "bin" / f"python{version}").resolve()


def _environment(folder: Path) -> Environment:
    """Judge a virtual environment by its own record (library `venv`: pyvenv.cfg)."""
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return Environment.ABSENT
    try:
        lines = (folder / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return Environment.STRANGER
    record = {name.strip(): value.strip() for name, _, value in (x.partition("=") for x in lines)}
    same = record.get("version", "").split(".")[:2] == [str(n) for n in sys.version_info[:2]]
    works = os.access(folder / "bin" / "python", os.X_OK) and _has_pip(folder)
    return Environment.USABLE if same and works else Environment.STALE


def _has_pip(folder: Path) -> bool:
    return any(_packages(folder).glob("pip/__main__.py"))


def _packages(folder: Path) -> Path:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return folder / "lib" / f"python{version}" / "site-packages"


def _installed(folder: Path) -> str:
    found = distributions(name=DISTRIBUTION, path=[str(_packages(folder))])
    return next((one.version for one in found), "")


def _running() -> Running:
    package = Path(gpusched.__file__).resolve().parent
    tree = package.parent if (package.parent / "pyproject.toml").is_file() else None
    try:
        origin = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        origin = None
    return Running(Path(sys.prefix), gpusched.__version__, origin, tree)


def _files(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.is_file()] if folder.is_dir() else []


def _members() -> tuple[str, ...] | None:
    try:
        return tuple(grp.getgrnam(places.GROUP).gr_mem)
    except KeyError:
        return None
